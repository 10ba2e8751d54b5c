//! `[encryption.pkcs11]`: a key in a hardware module.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_encrypt::Kek;

use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::surroundings::Surroundings;

section! {
    /// A key in a hardware module that wraps data keys; build with the feature `pkcs11`. The
    /// module's library is loaded into this process, and trusted like it.
    Pkcs11Entry {
        /// The module's library.
        module: PathBuf,
        /// The label of the token.
        token: String,
        /// The label of the key.
        key: String,
        /// The PIN of the token's user.
        pin: Secret,
        /// How much is done at the same time, each in a session of its own.
        sessions: NonZeroUsize = "4",
    }
}

const PATH: &str = "encryption.pkcs11";

#[cfg(not(feature = "pkcs11"))]
impl Pkcs11Entry {
    pub(crate) fn kek(&self, _: &Surroundings) -> Result<Arc<dyn Kek>, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "pkcs11"))
    }
}

#[cfg(feature = "pkcs11")]
impl Pkcs11Entry {
    /// Opens the module. Where it is only seen whether a layer can be built, it is left alone, and
    /// a key of this process stands for its own: wrong PINs lock tokens.
    pub(crate) fn kek(&self, with: &Surroundings) -> Result<Arc<dyn Kek>, Problem> {
        use bartizan_encrypt::{KeyBytes, LocalKek, Pkcs11Kek};
        let pin = self.pin.text(self.stands.0, PATH)?;
        if with.dry {
            let bytes = KeyBytes::generate().map_err(|error| self.refuse(PATH, &error))?;
            return Ok(Arc::new(LocalKek::new(&bytes)));
        }
        let kek = Pkcs11Kek::builder(&self.module, &self.token, &self.key)
            .with_pin(pin)
            .with_sessions(self.sessions)
            .open();
        let kek = kek.map_err(|error| self.refuse(PATH, &error))?;
        Ok(Arc::new(kek))
    }
}
