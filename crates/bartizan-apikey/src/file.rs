//! Keys in a file: written by whoever manages them, read by the service.

mod document;
mod lock;

use std::io;
use std::path::{Path, PathBuf};

use bartizan_source::{FileMode, write_atomically};

use crate::record::{KeyRecord, RecordError};

pub(crate) use self::document::{parse, parse_uses, print, uses};
use self::lock::Lock;

/// A file of key records: one JSON document, without any secret but for hashes.
///
/// ```json
/// {
///   "version": 1,
///   "keys": [
///     {
///       "id": "0123456789Ab",
///       "hash": "v1.2027.kDk3TKIBYhtYBdMS33Kkq-hLDTx2Mb7BmRIMK5eIoBA",
///       "subject": "reports",
///       "client": "nightly",
///       "scopes": ["orders:read"],
///       "networks": ["10.0.0.0/8"],
///       "created": 1800000000,
///       "expires": 1830000000
///     }
///   ]
/// }
/// ```
///
/// Times are in seconds since 1970; unknown members are an error. `name`, `tenant`, `roles`,
/// `not_before`, `revoked` and `replaced_by` may be there as well. It is replaced as a whole, in
/// one step, so that a service that reads it meanwhile finds the old or the new.
///
/// ```
/// use bartizan_apikey::{KeyFile, KeyFormat, KeyRecord, NewKey, Peppers};
/// use bartizan_core::{Clock, SystemClock};
///
/// # let folder = std::env::temp_dir().join(format!("bartizan-apikey-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let file = KeyFile::new(folder.join("keys.json"));
/// file.create()?;
/// let key = NewKey::generate(&KeyFormat::live())?;
/// let now = SystemClock.wall();
/// let record = KeyRecord::builder(&key, &Peppers::none(), "reports", now).build()?;
/// file.add(record)?;
/// assert_eq!(file.read()?[0].id(), key.id());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

/// What went wrong with a file of keys. Its text quotes no values of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file exists already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The file could not be read or written.
    #[error("{}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The document is none of keys.
    #[error("no document of keys: {0}")]
    Invalid(String),
    /// Somebody else changes the file at this moment, or was interrupted when they did.
    #[error("{} is there: somebody changes the keys; if nobody does, remove it", .0.display())]
    Locked(PathBuf),
    /// A record is not what it should be.
    #[error("key {id}")]
    Record {
        /// Which key, as the document names it.
        id: String,
        /// What is wrong.
        #[source]
        error: RecordError,
    },
    /// What was to be changed cannot be.
    #[error(transparent)]
    Refused(#[from] RecordError),
}

impl KeyFile {
    /// The file at this path. Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the file, without keys, for its owner alone.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Exists`], [`KeyFileError::Locked`], [`KeyFileError::Io`].
    pub fn create(&self) -> Result<(), KeyFileError> {
        let _lock = Lock::take(&self.0)?;
        if self.0.exists() {
            return Err(KeyFileError::Exists(self.0.clone()));
        }
        self.write(&[])
    }

    /// All records.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`].
    pub fn read(&self) -> Result<Vec<KeyRecord>, KeyFileError> {
        parse(&std::fs::read(&self.0).map_err(|error| self.io(error))?)
    }

    /// Adds the record of a new key.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]; [`KeyFileError::Invalid`] if the key is there already.
    pub fn add(&self, record: KeyRecord) -> Result<(), KeyFileError> {
        self.change(|records| {
            if records.iter().any(|held| held.id == record.id) {
                let problem = format!("the key {} is there already", record.id);
                return Err(KeyFileError::Invalid(problem));
            }
            records.push(record);
            Ok(())
        })
    }

    /// Changes the records: reads them, lets `change` have them, and replaces the file. If
    /// `change` refuses, the file stays as it is. Processes that do this at the same time are kept
    /// apart by a file beside this one, whose name ends in `.lock`. Blocks.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`], or what `change` says.
    pub fn change<T, E: From<KeyFileError>>(
        &self,
        change: impl FnOnce(&mut Vec<KeyRecord>) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = Lock::take(&self.0)?;
        let mut records = self.read()?;
        let done = change(&mut records)?;
        self.write(&records)?;
        Ok(done)
    }

    fn write(&self, records: &[KeyRecord]) -> Result<(), KeyFileError> {
        let document = print(records)?;
        let written = write_atomically(&self.0, document.as_bytes(), self.mode());
        written.map_err(|error| self.io(error))
    }

    /// As it is: the service may read it as another user of the group.
    fn mode(&self) -> FileMode {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&self.0).map(|it| it.permissions().mode());
            match mode {
                Ok(mode) if mode & 0o004 != 0 => FileMode::WORLD_READABLE,
                Ok(mode) if mode & 0o040 != 0 => FileMode::GROUP_READABLE,
                _ => FileMode::PRIVATE,
            }
        }
        #[cfg(not(unix))]
        FileMode::PRIVATE
    }

    fn io(&self, error: io::Error) -> KeyFileError {
        KeyFileError::Io {
            path: self.0.clone(),
            error,
        }
    }
}

#[cfg(test)]
mod tests;
