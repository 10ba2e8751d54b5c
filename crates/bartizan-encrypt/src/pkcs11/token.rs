//! A token: sessions that are logged in, and work on threads that may block.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use tokio::sync::Semaphore;

use crate::kek::KekError;

/// A token, by whose sessions a key is used.
pub(super) struct Token {
    pub(super) context: Pkcs11,
    pub(super) slot: Slot,
    pub(super) pin: AuthPin,
    pub(super) key: String,
    pub(super) idle: Mutex<Vec<Session>>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) locked_out: AtomicBool,
}

impl Token {
    /// Does some work with the key on a thread that may block. Work goes on when its caller goes
    /// away, and keeps its place until it is done: there is never more of it than sessions.
    pub(super) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Session, ObjectHandle) -> Result<T, KekError> + Send + 'static,
    ) -> Result<T, KekError> {
        let lost = |_| KekError::Unavailable("the work was lost".to_owned());
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| KekError::Unavailable("closed".to_owned()))?;
        let token = Arc::clone(self);
        let working = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            token.with_session(work)
        });
        working.await.map_err(lost)?
    }

    /// Looks for the key once, as a check.
    pub(super) fn check(&self) -> Result<(), KekError> {
        self.with_session(|_, _| Ok(()))
    }

    fn with_session<T>(
        &self,
        work: impl FnOnce(&Session, ObjectHandle) -> Result<T, KekError>,
    ) -> Result<T, KekError> {
        let kept = self.idle().pop();
        let (session, key) = match kept.map(|session| (self.find(&session), session)) {
            Some((Ok(key), session)) => (session, key),
            // The token was taken out, or started anew; or the key is gone: a fresh session tells.
            _ => {
                let session = self.open()?;
                let key = self.find(&session)?;
                (session, key)
            }
        };
        let done = work(&session, key);
        if !matches!(done, Err(KekError::Unavailable(_))) {
            self.idle().push(session);
        }
        done
    }

    fn open(&self) -> Result<Session, KekError> {
        if self.locked_out.load(Ordering::Relaxed) {
            return Err(KekError::Unavailable(
                "the PIN was wrong, and is not tried again".to_owned(),
            ));
        }
        let session = self.context.open_ro_session(self.slot);
        let session = session.map_err(|error| told(&error))?;
        match session.login(UserType::User, Some(&self.pin)) {
            // All sessions of a process are logged in together.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => {
                if let Error::Pkcs11(
                    RvError::PinIncorrect
                    | RvError::PinInvalid
                    | RvError::PinLenRange
                    | RvError::PinLocked
                    | RvError::PinExpired,
                    _,
                ) = error
                {
                    self.locked_out.store(true, Ordering::Relaxed);
                }
                Err(told(&error))
            }
        }
    }

    /// The key of the label, if there is one, and only one, and it stays in the module.
    fn find(&self, session: &Session) -> Result<ObjectHandle, KekError> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.key.as_bytes().to_vec()),
        ];
        let found = session
            .find_objects(&template)
            .map_err(|error| told(&error))?;
        let refused = |text: &str| KekError::Refused(format!("key {:?} {text}", self.key));
        let key = match *found.as_slice() {
            [key] => key,
            [] => return Err(refused("is not in the token")),
            _ => return Err(refused("is in the token more than once")),
        };
        let wanted = [
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::ValueLen,
        ];
        let known = session
            .get_attributes(key, &wanted)
            .map_err(|error| told(&error))?;
        let stays = known.contains(&Attribute::Sensitive(true))
            && known.contains(&Attribute::Extractable(false));
        if !stays {
            return Err(refused("may leave the token"));
        }
        if !known.contains(&Attribute::ValueLen(32.into())) {
            return Err(refused("has not 256 bits"));
        }
        Ok(key)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a module says: whether it says no, or cannot say.
pub(super) fn told(error: &Error) -> KekError {
    let text = format!("the module says: {error}");
    match error {
        Error::Pkcs11(
            RvError::ActionProhibited
            | RvError::EncryptedDataInvalid
            | RvError::EncryptedDataLenRange
            | RvError::KeyFunctionNotPermitted
            | RvError::KeyHandleInvalid
            | RvError::KeyTypeInconsistent
            | RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::ObjectHandleInvalid,
            _,
        ) => KekError::Refused(text),
        _ => KekError::Unavailable(text),
    }
}
