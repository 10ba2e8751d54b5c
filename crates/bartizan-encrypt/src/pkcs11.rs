//! A key in a hardware module as key-encryption key, by PKCS#11.

mod config;
mod token;

use std::fmt;
use std::sync::Arc;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use zeroize::Zeroizing;

use crate::kek::{Kek, KekAnswer, KekError, digest};
use crate::key::{KeyBytes, random};
use crate::pkcs11::token::{Token, told};

pub use self::config::Pkcs11KekBuilder;

/// An AES-256 key in a hardware module that wraps data keys, by any PKCS#11 library.
///
/// 1. Data keys are sealed inside the module (AES-GCM) and opened there; the key that does it is
///    looked for by its label at each use, must be there once, and must not be allowed to leave
///    the module.
/// 2. What a data key is for is the additional data: a SHA-256 digest.
/// 3. Calls run on threads that may block, over a few sessions that are kept. A module that hangs
///    takes up those, and no more.
/// 4. A PIN that was wrong once is not tried again by this value: modules lock after a few.
/// 5. Destroying the key in the module makes everything unreadable that was sealed under data keys
///    that it alone wrapped: at once where they are not in memory, within the ttl elsewhere.
///
/// A PKCS#11 library is native code in this process, initialised once for all of it, and not ours
/// to wipe after. Nonces are random: one key wraps up to 2^32 data keys.
///
/// ```no_run
/// use bartizan_encrypt::Pkcs11Kek;
///
/// # fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let pin = std::fs::read_to_string("/run/secrets/hsm-pin")?;
/// let kek = Pkcs11Kek::builder("/usr/lib/softhsm/libsofthsm2.so", "clinic", "patients")
///     .with_pin(pin.trim_end())
///     .open()?;
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Pkcs11Kek(Arc<Module>);

pub(super) struct Module {
    id: String,
    token: Arc<Token>,
}

const NONCE: usize = 12;
const TAG: usize = 16;
const WRAPPED: usize = NONCE + 32 + TAG;

impl Pkcs11Kek {
    /// Begins the description of the key with the label `key` in the token with the label `token`,
    /// reached by the library at `module`.
    pub fn builder(
        module: impl Into<std::path::PathBuf>,
        token: &str,
        key: &str,
    ) -> Pkcs11KekBuilder {
        Pkcs11KekBuilder::new(module.into(), token, key)
    }
}

impl Kek for Pkcs11Kek {
    fn id(&self) -> &str {
        &self.0.id
    }

    fn wrap<'k>(&'k self, key: &'k KeyBytes, context: &'k [u8]) -> KekAnswer<'k, Vec<u8>> {
        Box::pin(async move {
            let key = Zeroizing::new(*key.expose());
            let data = digest(context);
            let seal = move |session: &Session, kek| seal(session, kek, &data, key.as_slice());
            self.0.token.work(seal).await
        })
    }

    fn unwrap<'k>(&'k self, wrapped: &'k [u8], context: &'k [u8]) -> KekAnswer<'k, KeyBytes> {
        Box::pin(async move {
            let malformed = || KekError::Refused("not wrapped by a module".to_owned());
            let wrapped: [u8; WRAPPED] = wrapped.try_into().map_err(|_| malformed())?;
            let data = digest(context);
            let open = move |session: &Session, kek| open(session, kek, &data, &wrapped);
            let opened = self.0.token.work(open).await?;
            KeyBytes::from_slice(&opened).ok_or_else(malformed)
        })
    }
}

impl fmt::Debug for Pkcs11Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Kek({})", self.0.id)
    }
}

fn seal(
    session: &Session,
    key: ObjectHandle,
    data: &[u8],
    content: &[u8],
) -> Result<Vec<u8>, KekError> {
    let mut nonce = [0; NONCE];
    random(&mut nonce).map_err(|error| KekError::Unavailable(error.to_string()))?;
    let parameters = GcmParams::new(&mut nonce, data, (TAG as u64 * 8).into());
    let parameters = parameters.map_err(|error| told(&error))?;
    let sealed = session.encrypt(&Mechanism::AesGcm(parameters), key, content);
    let sealed = sealed.map_err(|error| told(&error))?;
    // Some modules put a nonce of their own in place of ours.
    let wrapped = [&nonce, sealed.as_slice()].concat();
    if wrapped.len() != WRAPPED {
        return Err(KekError::Refused(
            "the module does not seal as AES-GCM does".to_owned(),
        ));
    }
    Ok(wrapped)
}

fn open(
    session: &Session,
    key: ObjectHandle,
    data: &[u8],
    wrapped: &[u8; WRAPPED],
) -> Result<Zeroizing<Vec<u8>>, KekError> {
    let (nonce, sealed) = wrapped.split_at(NONCE);
    let mut nonce = nonce.to_vec();
    let parameters = GcmParams::new(&mut nonce, data, (TAG as u64 * 8).into());
    let parameters = parameters.map_err(|error| told(&error))?;
    let opened = session.decrypt(&Mechanism::AesGcm(parameters), key, sealed);
    match opened {
        Ok(opened) => Ok(Zeroizing::new(opened)),
        Err(error) if is_vague(&error) && is_well(session, key) => Err(KekError::Refused(
            "the wrapped key was changed or moved".to_owned(),
        )),
        Err(error) => Err(told(&error)),
    }
}

/// Whether an error may mean a bad tag as well as a bad module: for the former, modules have no
/// common word.
fn is_vague(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::DataInvalid
                | RvError::EncryptedDataInvalid
                | RvError::FunctionFailed
                | RvError::GeneralError,
            _
        )
    )
}

/// Whether the module seals and opens, so that an error was about what it was given.
fn is_well(session: &Session, key: ObjectHandle) -> bool {
    let data = digest(b"bartizan probe");
    let sealed = seal(session, key, &data, &[0; 32]);
    let sealed = sealed.ok().and_then(|sealed| sealed.try_into().ok());
    let Some(sealed): Option<[u8; WRAPPED]> = sealed else {
        return false;
    };
    let (nonce, sealed) = sealed.split_at(NONCE);
    let mut nonce = nonce.to_vec();
    let Ok(parameters) = GcmParams::new(&mut nonce, &data, (TAG as u64 * 8).into()) else {
        return false;
    };
    let opened = session.decrypt(&Mechanism::AesGcm(parameters), key, sealed);
    opened.is_ok_and(|opened| opened == [0; 32])
}
