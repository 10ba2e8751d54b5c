//! The file operations behind a ledger, as a seam: a test's storage can lose what was never
//! synced, run full and fail, which no test on a real disk can.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bartizan_source::{FileMode, write_atomically};

/// A folder of files. Names are plain, without separators, except those of tiles.
pub(crate) trait Storage: Send + 'static {
    type File: Send;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Reads a file as a whole.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Creates a file of so many zeros, readable by its owner alone. Contents and length are
    /// synced; the name is not.
    fn create(&self, name: &str, length: u64) -> io::Result<Self::File>;
    /// Writes some of the bytes, and says how many.
    fn write_at(&self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Makes durable what was written to the file.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Cuts the file off behind so many bytes.
    fn truncate(&self, file: &Self::File, length: u64) -> io::Result<()>;
    /// Gives a file another name, in place of the file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes names durable.
    fn sync_names(&self) -> io::Result<()>;
    /// Puts a file in place in one step: durable once it returns, and old or new before.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Reads a part of a file: so many bytes at most from there on, none behind its end.
    fn read_part(&self, name: &str, from: u64, most: u64) -> io::Result<Vec<u8>>;
    /// Puts a file in place, which is not durable yet, and may be torn by a crash.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes these files durable, and their names.
    fn persist(&self, names: &[String]) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Whether the file still has a name.
    fn is_in_place(&self, file: &Self::File) -> io::Result<bool>;

    /// Reads the beginning of a file: so many bytes at most.
    fn read_start(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        self.read_part(name, 0, most)
    }

    /// Writes all of the bytes.
    fn write_all_at(&self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            match self.write_at(file, offset, rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
}

/// How much is written at once when a file is filled with zeros.
const ZEROS: usize = 1024 * 1024;

/// How often a folder that is taken is looked at again, and after how long: a process that is
/// being spawned has its parent's files until it begins.
#[cfg(unix)]
const LOCK_TRIES: u32 = 10;
#[cfg(unix)]
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

impl Disk {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Makes the folder, readable by its owner alone.
    pub(crate) fn make_folder(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder)
    }

    /// Takes the folder for this process, for as long as the file lives.
    #[cfg(unix)]
    pub(crate) fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, FileMode::PRIVATE.bits());
        let file = options.open(self.folder.join("lock"))?;
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        for _ in 0..LOCK_TRIES {
            match rustix::fs::flock(&file, operation) {
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
                taken => return taken.map(|()| file).map_err(io::Error::from),
            }
        }
        rustix::fs::flock(&file, operation)?;
        Ok(file)
    }

    #[cfg(not(unix))]
    pub(crate) fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        options.open(self.folder.join("lock"))
    }

    /// Whether a process has the folder.
    #[cfg(unix)]
    pub(crate) fn is_locked(&self) -> bool {
        let Ok(file) = File::open(self.folder.join("lock")) else {
            return false;
        };
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
    }

    #[cfg(not(unix))]
    pub(crate) fn is_locked(&self) -> bool {
        false
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Storage for Disk {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path(name))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str, length: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, FileMode::PRIVATE.bits());
        let mut file = options.open(self.path(name))?;
        // Written, not just reserved: what is written later then changes no length and no extent,
        // so that syncing it needs no journal.
        let zeros = vec![0; ZEROS];
        let mut rest = length;
        while rest > 0 {
            let some = usize::try_from(rest).unwrap_or(ZEROS).min(ZEROS);
            file.write_all(zeros.get(..some).unwrap_or_default())?;
            rest -= some as u64;
        }
        file.sync_all()?;
        Ok(file)
    }

    fn write_at(&self, file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        file.seek(SeekFrom::Start(offset))?;
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    #[cfg(unix)]
    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    #[cfg(not(unix))]
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        if name.contains('/')
            && let Some(folder) = path.parent()
        {
            fs::create_dir_all(folder)?;
        }
        write_atomically(&path, bytes, FileMode::PRIVATE)
    }

    fn read_part(&self, name: &str, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(name))?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, FileMode::PRIVATE.bits());
        options.open(path)?.write_all(bytes)
    }

    fn persist(&self, names: &[String]) -> io::Result<()> {
        let mut folders = std::collections::BTreeSet::new();
        for name in names {
            let path = self.path(name);
            File::open(&path)?.sync_all()?;
            let within = |folder: &&Path| folder.starts_with(&self.folder);
            folders.extend(
                path.ancestors()
                    .skip(1)
                    .take_while(within)
                    .map(Path::to_owned),
            );
        }
        if cfg!(unix) {
            for folder in folders {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        fs::remove_file(&path)?;
        if name.contains('/')
            && let Some(folder) = path.parent()
        {
            // Fails if there is something left in it, which is right.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    #[cfg(unix)]
    fn is_in_place(&self, file: &File) -> io::Result<bool> {
        Ok(std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) > 0)
    }

    #[cfg(not(unix))]
    fn is_in_place(&self, _: &File) -> io::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
pub(crate) mod fragile;
