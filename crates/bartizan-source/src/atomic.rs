//! Replaces a file so that every reader, and every crash, finds the old content or the new.

mod storage;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic::storage::{Disk, Storage};
use crate::jitter::random;

/// Who may read a file that is being written; without effect where there are no Unix modes.
///
/// Set exactly as given, whatever the process's umask.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct FileMode(u32);

impl FileMode {
    /// The owner reads and writes (0600): for anything secret.
    pub const PRIVATE: Self = Self(0o600);
    /// The owner reads and writes, the group reads (0640).
    pub const GROUP_READABLE: Self = Self(0o640);
    /// The owner writes, everybody reads (0644): for certificates and bundles.
    pub const WORLD_READABLE: Self = Self(0o644);

    /// The permission bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileMode({:04o})", self.0)
    }
}

/// Replaces the file at `path` by `bytes` in one step.
///
/// 1. A temporary file is created in the same directory, readable by the owner alone from the
///    first moment on, and written.
/// 2. The bytes are synced to the disk, **before** the file gets its name: otherwise a power cut
///    could leave the name with nothing behind it.
/// 3. The file is renamed over `path`, and the directory is synced: after `Ok`, the new content
///    survives a power cut.
///
/// A symbolic link at `path` is itself replaced, not what it points to. Blocks; call it from a
/// blocking thread.
///
/// # Errors
///
/// The first operation that failed. The temporary file is then gone (unless removing it failed
/// too), and the old content is in place, with one exception: if the last sync failed, the new
/// content is in place, but may not survive a power cut.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: FileMode) -> io::Result<()> {
    write_with(&Disk, path, bytes, mode)
}

/// How often another name is tried when the temporary file exists already.
const ATTEMPTS: usize = 8;

fn write_with<S: Storage>(
    storage: &S,
    path: &Path,
    bytes: &[u8],
    mode: FileMode,
) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path has no file name",
        ));
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (temporary, mut file) = create(storage, directory, &name.to_string_lossy())?;
    let written = storage
        .write(&mut file, bytes)
        .and_then(|()| storage.set_mode(&file, mode))
        .and_then(|()| storage.sync_file(&file));
    // Closed before it is renamed: some systems refuse to rename an open file.
    drop(file);
    if let Err(error) = written.and_then(|()| storage.rename(&temporary, path)) {
        // The first error is the one to tell; that the rest is in vain shows by the file itself.
        let _ = storage.remove(&temporary);
        return Err(error);
    }
    storage.sync_directory(directory)
}

fn create<S: Storage>(storage: &S, directory: &Path, name: &str) -> io::Result<(PathBuf, S::File)> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        // A guessable name would do no harm: the file is created new or not at all.
        let temporary = directory.join(format!(".{name}.{:016x}.tmp", random()));
        match storage.create_private(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
}

#[cfg(test)]
mod tests;
