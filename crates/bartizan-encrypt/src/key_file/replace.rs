//! Reading and replacing the file, as a seam: a test's storage can lose what was not made durable.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bartizan_source::{FileMode, write_atomically};

/// The largest key file that is read: some 100,000 keys.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A file that is read and replaced as a whole. `replace` must be durable when it returns.
pub(super) trait Replace: Send + Sync {
    fn read(&self) -> io::Result<Vec<u8>>;
    fn replace(&self, bytes: &[u8]) -> io::Result<()>;
}

/// A file on disk.
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Replace for Disk {
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&self.0)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::other("larger than a key file may be"));
        }
        Ok(bytes)
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        write_atomically(&self.0, bytes, FileMode::PRIVATE)
    }
}
