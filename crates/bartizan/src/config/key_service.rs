//! The services and modules that wrap the data keys of `[encryption]`.

mod aws;
mod pkcs11;
mod vault;

use std::sync::Arc;

use bartizan_encrypt::Kek;

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::surroundings::Surroundings;

pub(crate) use self::aws::AwsKmsEntry;
pub(crate) use self::pkcs11::Pkcs11Entry;
pub(crate) use self::vault::VaultEntry;

section! {
    /// What wrapped data keys before: one of `aws_kms`, `vault` and `pkcs11`. It wraps nothing
    /// more, and unwraps what it wrapped.
    PreviousKey {
        /// A key of AWS KMS.
        aws_kms: Option<AwsKmsEntry>,
        /// A key of Vault's transit engine.
        vault: Option<VaultEntry>,
        /// A key in a hardware module.
        pkcs11: Option<Pkcs11Entry>,
    }
}

/// The services of a table, of which one may be named.
#[derive(Clone, Copy)]
pub(crate) struct Services<'s> {
    pub(crate) aws_kms: Option<&'s AwsKmsEntry>,
    pub(crate) vault: Option<&'s VaultEntry>,
    pub(crate) pkcs11: Option<&'s Pkcs11Entry>,
}

impl Services<'_> {
    pub(crate) fn count(&self) -> usize {
        let named = [
            self.aws_kms.is_some(),
            self.vault.is_some(),
            self.pkcs11.is_some(),
        ];
        named.into_iter().filter(|is_named| *is_named).count()
    }

    /// The key of the service that is named. Nobody is asked yet but a module, and not even that
    /// one where it is only seen whether a layer can be built.
    pub(crate) fn kek(&self, with: &Surroundings) -> Result<Option<Arc<dyn Kek>>, Problem> {
        let kek = match self {
            Self {
                aws_kms: Some(entry),
                ..
            } => entry.kek(with)?,
            Self {
                vault: Some(entry), ..
            } => entry.kek(with)?,
            Self {
                pkcs11: Some(entry),
                ..
            } => entry.kek(with)?,
            _ => return Ok(None),
        };
        Ok(Some(kek))
    }
}

impl PreviousKey {
    pub(crate) fn kek(&self, with: &Surroundings) -> Result<Arc<dyn Kek>, Problem> {
        let services = Services {
            aws_kms: self.aws_kms.as_ref(),
            vault: self.vault.as_ref(),
            pkcs11: self.pkcs11.as_ref(),
        };
        match (services.count(), services.kek(with)?) {
            (1, Some(kek)) => Ok(kek),
            _ => {
                let message = "takes one of `aws_kms`, `vault` and `pkcs11`";
                Err(Problem::new(self.stands.0, "encryption.previous", message))
            }
        }
    }
}
