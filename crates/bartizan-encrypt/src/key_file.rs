//! The embedded store: one sealed file.

mod content;
mod replace;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::kek::{Kek, LocalKek, LocalKekError, PassphraseParameters};
use crate::key::{KeyRecord, KeyScope};
use crate::key_file::content::{Header, Sealed};
use crate::key_file::replace::{Disk, Replace};
use crate::store::{KeyChange, KeyStore, StoreAnswer, StoreError, changed};

/// Keeps all key records in one file, sealed as a whole: who has keys, and in which state they
/// are, can neither be read nor changed without the key-encryption key.
///
/// The file is readable by its owner alone and replaced as a whole, so that a crash leaves the
/// old one or the new one. It is for one process: two that write it overwrite each other's
/// changes. Services of many instances need a shared [`KeyStore`].
///
/// Whoever can write the file can put an older one in its place, with keys that were destroyed
/// since: backups of it must not outlive what an erasure promises.
#[derive(Clone)]
pub struct KeyFile(Arc<Held>);

struct Held {
    replace: Box<dyn Replace>,
    kek: LocalKek,
    records: Mutex<Arc<[KeyRecord]>>,
}

/// Why a key file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It exists already; creating it anew would lose every key in it.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// It cannot be read or written.
    #[error("cannot read or write the key file")]
    Io(#[from] io::Error),
    /// The passphrase cannot be used.
    #[error(transparent)]
    Kek(#[from] LocalKekError),
    /// It is no key file, or was changed.
    #[error("the key file was changed, or is none: {0}")]
    Malformed(&'static str),
    /// It was sealed under another key than those given.
    #[error("the key file is sealed under {sealed}, not under {given}")]
    OtherKek {
        /// The one it names.
        sealed: String,
        /// The ones given.
        given: String,
    },
}

impl KeyFile {
    /// Makes a new, empty key file.
    ///
    /// # Errors
    ///
    /// If there is one, or if it cannot be written.
    pub fn create(path: &Path, kek: LocalKek) -> Result<Self, KeyFileError> {
        if path.try_exists()? {
            return Err(KeyFileError::Exists(path.to_owned()));
        }
        let file = Self::holding(Box::new(Disk::new(path)), kek, Arc::from([]));
        file.write(&[])?;
        Ok(file)
    }

    /// Opens a key file. Of several keys, the first is the one that the file is sealed under from
    /// the next change on; the others are for opening what they sealed before.
    ///
    /// # Errors
    ///
    /// If it cannot be read, was changed, or is sealed under another key.
    pub fn open(path: &Path, keks: &[LocalKek]) -> Result<Self, KeyFileError> {
        Self::open_with(Box::new(Disk::new(path)), keks)
    }

    /// Makes a new key file under a passphrase, with a fresh salt; see [`PassphraseParameters`].
    /// Gives the key as well, for the [`Keyring`](crate::Keyring).
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), and if the passphrase is too short.
    pub fn create_with_passphrase(
        path: &Path,
        passphrase: &str,
    ) -> Result<(Self, LocalKek), KeyFileError> {
        let parameters = PassphraseParameters::generate()
            .map_err(|_| KeyFileError::Malformed("no random bytes"))?;
        let kek = LocalKek::from_passphrase(passphrase, parameters)?;
        Ok((Self::create(path, kek.clone())?, kek))
    }

    /// Opens a key file that was made under a passphrase.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if the file was not made under a passphrase.
    pub fn open_with_passphrase(
        path: &Path,
        passphrase: &str,
    ) -> Result<(Self, LocalKek), KeyFileError> {
        let disk = Disk::new(path);
        let (header, _) = Header::parse(&disk.read()?)?;
        let parameters = header
            .passphrase()
            .ok_or(KeyFileError::Malformed("not made under a passphrase"))?;
        let kek = LocalKek::from_passphrase(passphrase, parameters)?;
        let file = Self::open_with(Box::new(disk), std::slice::from_ref(&kek))?;
        Ok((file, kek))
    }

    fn open_with(replace: Box<dyn Replace>, keks: &[LocalKek]) -> Result<Self, KeyFileError> {
        let bytes = replace.read()?;
        let (header, sealed) = Header::parse(&bytes)?;
        let fitting = keks.iter().find(|kek| kek.id() == header.kek());
        let (Some(kek), Some(first)) = (fitting, keks.first()) else {
            let given: Vec<_> = keks.iter().map(Kek::id).collect();
            return Err(KeyFileError::OtherKek {
                sealed: header.kek().to_owned(),
                given: given.join(", "),
            });
        };
        let content = Sealed::open(kek, &sealed)?;
        Ok(Self::holding(replace, first.clone(), content.into()))
    }

    fn holding(replace: Box<dyn Replace>, kek: LocalKek, records: Arc<[KeyRecord]>) -> Self {
        Self(Arc::new(Held {
            replace,
            kek,
            records: Mutex::new(records),
        }))
    }

    fn write(&self, records: &[KeyRecord]) -> io::Result<()> {
        let bytes = Sealed::seal(&self.0.kek, records)
            .ok_or_else(|| io::Error::other("no random bytes"))?;
        self.0.replace.replace(&bytes)
    }

    /// Writes before it remembers: what was not made durable is not told to anybody.
    fn change(&self, changes: Vec<KeyChange>) -> Result<bool, StoreError> {
        let mut held = self
            .0
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(records) = changed(&held, changes) else {
            return Ok(false);
        };
        self.write(&records).map_err(StoreError::new)?;
        *held = records.into();
        Ok(true)
    }
}

impl KeyStore for KeyFile {
    fn read<'s>(&'s self, scope: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        let held = self
            .0
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let records = Arc::clone(&held);
        drop(held);
        let wanted = |record: &&KeyRecord| scope.is_none_or(|scope| record.scope == *scope);
        let records = records.iter().filter(wanted).cloned().collect();
        Box::pin(std::future::ready(Ok(records)))
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        let this = self.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || this.change(changes))
                .await
                .map_err(StoreError::new)?
        })
    }
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile")
            .field("kek", &self.0.kek)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
