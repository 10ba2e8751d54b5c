use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;

/// A disk in memory that keeps through a power cut only what was synced: file contents by
/// `sync_file`, names by `sync_directory`.
#[derive(Default)]
struct FragileDisk {
    /// Contents: what a running system reads, and what a power cut leaves.
    inodes: RefCell<Vec<Inode>>,
    /// Names: as a running system sees them, and as a power cut leaves them.
    names: RefCell<BTreeMap<PathBuf, usize>>,
    synced_names: RefCell<BTreeMap<PathBuf, usize>>,
    /// A power cut that happens to find a directory written back which nobody synced.
    eager_names: bool,
    ignores: Option<Operation>,
    fails: Option<Operation>,
    operations: Cell<usize>,
    power_lasts: Option<usize>,
}

#[derive(Clone, Default)]
struct Inode {
    content: Vec<u8>,
    synced: Vec<u8>,
    mode: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operation {
    Create,
    Write,
    SetMode,
    SyncFile,
    Rename,
    SyncDirectory,
}

const PATH: &str = "dir/key.pem";

impl FragileDisk {
    fn with_old_content() -> Self {
        let disk = Self::default();
        write_with(&disk, Path::new(PATH), b"old", FileMode::PRIVATE).expect("nothing fails");
        disk.operations.set(0);
        disk
    }

    /// Counts the operation; says whether it takes effect.
    fn perform(&self, operation: Operation) -> io::Result<bool> {
        if self.fails == Some(operation) {
            return Err(io::Error::other("planned"));
        }
        if self
            .power_lasts
            .is_some_and(|lasts| self.operations.get() >= lasts)
        {
            return Err(io::Error::other("no power"));
        }
        self.operations.set(self.operations.get() + 1);
        Ok(self.ignores != Some(operation))
    }

    /// What a reader finds, before or after the power was cut.
    fn content(&self, after_power_cut: bool) -> Option<Vec<u8>> {
        let inodes = self.inodes.borrow();
        if after_power_cut {
            let names = if self.eager_names {
                &self.names
            } else {
                &self.synced_names
            };
            let index = *names.borrow().get(Path::new(PATH))?;
            Some(inodes[index].synced.clone())
        } else {
            Some(
                inodes[*self.names.borrow().get(Path::new(PATH))?]
                    .content
                    .clone(),
            )
        }
    }

    fn file_count(&self) -> usize {
        self.names.borrow().len()
    }
}

impl Storage for FragileDisk {
    type File = usize;

    fn create_private(&self, path: &Path) -> io::Result<usize> {
        self.perform(Operation::Create)?;
        let mut inodes = self.inodes.borrow_mut();
        inodes.push(Inode {
            mode: 0o600,
            ..Inode::default()
        });
        self.names
            .borrow_mut()
            .insert(path.to_owned(), inodes.len() - 1);
        Ok(inodes.len() - 1)
    }

    fn write(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        self.perform(Operation::Write)?;
        self.inodes.borrow_mut()[*file]
            .content
            .extend_from_slice(bytes);
        Ok(())
    }

    fn set_mode(&self, file: &usize, mode: FileMode) -> io::Result<()> {
        self.perform(Operation::SetMode)?;
        self.inodes.borrow_mut()[*file].mode = mode.bits();
        Ok(())
    }

    fn sync_file(&self, file: &usize) -> io::Result<()> {
        if self.perform(Operation::SyncFile)? {
            let inode = &mut self.inodes.borrow_mut()[*file];
            inode.synced = inode.content.clone();
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(Operation::Rename)?;
        let mut names = self.names.borrow_mut();
        let index = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), index);
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        if self.perform(Operation::SyncDirectory)? {
            *self.synced_names.borrow_mut() = self.names.borrow().clone();
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // Without power nothing is tidied up either.
        if self.power_lasts.is_some() {
            return Err(io::Error::other("no power"));
        }
        self.names
            .borrow_mut()
            .remove(path)
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Whether the promise holds on this disk: after `Ok`, a power cut leaves the new content.
fn new_content_survives(disk: &FragileDisk) -> bool {
    let written = write_with(disk, Path::new(PATH), b"new", FileMode::WORLD_READABLE);
    assert!(written.is_ok() && disk.content(false).as_deref() == Some(b"new"));
    disk.content(true).as_deref() == Some(b"new")
}

#[test]
fn the_new_content_survives_a_power_cut() {
    assert!(new_content_survives(&FragileDisk::with_old_content()));
}

#[test]
fn a_missing_file_sync_would_be_noticed() {
    let disk = FragileDisk {
        ignores: Some(Operation::SyncFile),
        ..FragileDisk::with_old_content()
    };
    assert!(!new_content_survives(&disk));
}

#[test]
fn a_missing_directory_sync_would_be_noticed() {
    let disk = FragileDisk {
        ignores: Some(Operation::SyncDirectory),
        ..FragileDisk::with_old_content()
    };
    assert!(!new_content_survives(&disk));
}

/// Cuts the power after each operation in turn; says whether old or new was found each time.
fn no_cut_leaves_a_torn_file(ignores: Option<Operation>) -> bool {
    (0..=6).all(|operations| {
        [false, true].into_iter().all(|eager_names| {
            let disk = FragileDisk {
                power_lasts: Some(operations),
                eager_names,
                ignores,
                ..FragileDisk::with_old_content()
            };
            let _ = write_with(&disk, Path::new(PATH), b"new", FileMode::PRIVATE);
            let found = disk.content(true);
            found.as_deref() == Some(b"old") || found.as_deref() == Some(b"new")
        })
    })
}

#[test]
fn a_power_cut_at_any_moment_leaves_the_old_content_or_the_new() {
    assert!(no_cut_leaves_a_torn_file(None));
    assert!(
        !no_cut_leaves_a_torn_file(Some(Operation::SyncFile)),
        "this check can fail"
    );
}

#[test]
fn a_failure_leaves_the_old_content_and_no_temporary_file() {
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::SetMode,
        Operation::SyncFile,
        Operation::Rename,
    ] {
        let disk = FragileDisk {
            fails: Some(operation),
            ..FragileDisk::with_old_content()
        };
        let error = write_with(&disk, Path::new(PATH), b"new", FileMode::PRIVATE);
        assert_eq!(
            error.expect_err("planned").to_string(),
            "planned",
            "{operation:?}"
        );
        assert_eq!(
            disk.content(false).as_deref(),
            Some(&b"old"[..]),
            "{operation:?}"
        );
        assert_eq!(disk.file_count(), 1, "{operation:?}");
    }
}

#[test]
fn a_failed_directory_sync_is_told() {
    let disk = FragileDisk {
        fails: Some(Operation::SyncDirectory),
        ..FragileDisk::with_old_content()
    };
    assert!(write_with(&disk, Path::new(PATH), b"new", FileMode::PRIVATE).is_err());
}

#[test]
fn a_path_without_a_file_name_is_refused() {
    for path in ["", "/", "dir/.."] {
        let error = write_with(
            &FragileDisk::default(),
            Path::new(path),
            b"",
            FileMode::PRIVATE,
        );
        assert_eq!(error.expect_err(path).kind(), io::ErrorKind::InvalidInput);
    }
}

#[cfg(unix)]
#[test]
fn the_temporary_file_is_private_from_the_first_moment_and_never_shared() {
    use std::os::unix::fs::PermissionsExt;

    let path = std::env::temp_dir().join(format!("bartizan-private-{:016x}", random()));
    let file = Disk.create_private(&path).expect("a writable folder");
    let mode = file.metadata().expect("open").permissions().mode();
    let again = Disk.create_private(&path).map(drop);
    std::fs::remove_file(&path).expect("ours");
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        again.expect_err("it exists").kind(),
        io::ErrorKind::AlreadyExists
    );
}
