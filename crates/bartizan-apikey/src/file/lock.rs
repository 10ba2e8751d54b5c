//! Keeps two who change one file apart.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use crate::file::KeyFileError;

/// A file whose existence says that somebody is at work. It is removed again, also on a panic.
pub(super) struct Lock(PathBuf);

impl Lock {
    pub(super) fn take(beside: &Path) -> Result<Self, KeyFileError> {
        let mut name = beside.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let path = beside.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(KeyFileError::Locked(path))
            }
            Err(error) => Err(KeyFileError::Io { path, error }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
