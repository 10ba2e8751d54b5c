//! The disk of the ledger: a file system of its own that can be cut to what it holds.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

/// A file system in memory, mounted for the soak; or a folder, where nobody may mount one.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    mounted: bool,
    bytes: u64,
}

impl Disk {
    /// Mounts a file system of so many bytes here, if this user may.
    pub(super) fn new(folder: &Path, bytes: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut disk = Self {
            folder: folder.to_owned(),
            mounted: false,
            bytes,
        };
        disk.mounted = disk.mount(&format!("size={bytes}")).is_ok();
        Ok(disk)
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it can be made full.
    pub(crate) fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// Leaves no room beyond what it holds.
    ///
    /// # Errors
    ///
    /// If it cannot be cut.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        // The service goes on writing: by the time that it is cut, it may hold a little more.
        let mut refused = Ok(());
        for spare in [1, 2, 4, 8] {
            let bytes = used(&self.folder)? + (spare << 16);
            refused = self.mount(&format!("remount,size={bytes}"));
            if refused.is_ok() {
                break;
            }
        }
        refused
    }

    /// Gives it back the size that it had.
    ///
    /// # Errors
    ///
    /// If it cannot be remounted.
    pub(crate) fn free(&self) -> anyhow::Result<()> {
        self.mount(&format!("remount,size={}", self.bytes))
    }

    fn mount(&self, options: &str) -> anyhow::Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]);
        let output = mount.arg(&self.folder).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "mount -o {options}: {said}");
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg(&self.folder).status();
        }
    }
}

/// How many bytes the files in a folder take.
fn used(folder: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;

    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // A file may be gone by the time that it is looked at.
        bytes += match std::fs::metadata(&path) {
            Ok(of) if of.is_dir() => used(&path)?,
            Ok(of) => of.blocks() * 512,
            Err(_) => 0,
        };
    }
    Ok(bytes)
}
