//! Which key of which module.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::Slot;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::error::ProviderConfigError;
use crate::pkcs11::token::Token;
use crate::pkcs11::{Module, Pkcs11Kek};

/// Describes a [`Pkcs11Kek`]; made by [`Pkcs11Kek::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | PIN | none: refused | |
/// | sessions | 4 | data keys are cached: there is seldom more to do at once |
#[must_use = "call open to get the key"]
pub struct Pkcs11KekBuilder {
    module: PathBuf,
    token: String,
    key: String,
    pin: Option<Zeroizing<String>>,
    sessions: NonZeroUsize,
}

const SESSIONS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

impl Pkcs11KekBuilder {
    pub(super) fn new(module: PathBuf, token: &str, key: &str) -> Self {
        Self {
            module,
            token: token.to_owned(),
            key: key.to_owned(),
            pin: None,
            sessions: SESSIONS,
        }
    }

    /// Sets the PIN of the token's user.
    pub fn with_pin(mut self, pin: &str) -> Self {
        self.pin = Some(Zeroizing::new(pin.to_owned()));
        self
    }

    /// Replaces how much is done at the same time, each in a session of its own.
    pub fn with_sessions(mut self, sessions: NonZeroUsize) -> Self {
        self.sessions = sessions;
        self
    }

    /// Loads the library, logs in and looks for the key. Blocks.
    ///
    /// # Errors
    ///
    /// [`ProviderConfigError`] if the library cannot be loaded, if there is no such token or more
    /// than one, if the PIN is wrong, or if the key is not fit.
    pub fn open(self) -> Result<Pkcs11Kek, ProviderConfigError> {
        let pin = self.pin.ok_or(ProviderConfigError::Missing("pin"))?;
        let path = self.module.display().to_string();
        let unusable = |error: Error| ProviderConfigError::Unusable(format!("{path}: {error}"));
        let context = Pkcs11::new(&self.module).map_err(unusable)?;
        let threads = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match context.initialize(threads) {
            // Somebody in this process uses the library already.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(unusable(error)),
        }
        let slot = find(&context, &self.token)?;
        let token = Token {
            context,
            slot,
            pin: pin.as_str().into(),
            key: self.key,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(self.sessions.get())),
            locked_out: AtomicBool::new(false),
        };
        let unfit = |error: crate::KekError| ProviderConfigError::Unusable(error.to_string());
        token.check().map_err(unfit)?;
        Ok(Pkcs11Kek(Arc::new(Module {
            id: format!("pkcs11:{}/{}", self.token, token.key),
            token: Arc::new(token),
        })))
    }
}

fn find(context: &Pkcs11, label: &str) -> Result<Slot, ProviderConfigError> {
    let unusable = |error: Error| ProviderConfigError::Unusable(error.to_string());
    let mut found = Vec::new();
    for slot in context
        .get_slots_with_initialized_token()
        .map_err(unusable)?
    {
        let token = context.get_token_info(slot).map_err(unusable)?;
        if token.label() == label {
            found.push(slot);
        }
    }
    match *found.as_slice() {
        [slot] => Ok(slot),
        _ => Err(ProviderConfigError::Name {
            setting: "token, of which there is to be one,",
            name: label.to_owned(),
        }),
    }
}

impl std::fmt::Debug for Pkcs11KekBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pkcs11KekBuilder")
            .field("module", &self.module)
            .field("token", &self.token)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
