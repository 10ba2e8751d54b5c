//! Prepares the next segments while the last is written: filling one with zeros takes as long as
//! filling it with records, and the writer must not wait for it.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::storage::{Disk, Storage as _};

/// The prepared files, and how many there are to be.
#[derive(Debug, Default)]
struct Shelf {
    files: VecDeque<(String, File)>,
    wanted: usize,
    /// Whether the last one could not be made; the next is tried when one is taken.
    failed: bool,
    over: bool,
    /// Whether the thread has ended, and touches the folder no more.
    gone: bool,
}

/// Prepared segments.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(Arc<(Mutex<Shelf>, Condvar)>);

impl Spare {
    /// Begins to keep so many files ready, on a thread of its own, until [`end`](Self::end).
    pub(super) fn begin(disk: Disk, length: u64, wanted: usize) -> std::io::Result<Self> {
        let spare = Self::default();
        spare.with(|shelf| shelf.wanted = wanted);
        let mine = spare.clone();
        std::thread::Builder::new()
            .name("audit-prepare".to_owned())
            .spawn(move || {
                let _gone = Gone(mine.clone());
                mine.prepare(&disk, length);
            })?;
        Ok(spare)
    }

    fn with<R>(&self, change: impl FnOnce(&mut Shelf) -> R) -> R {
        let result = change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
        result
    }

    /// Gives a prepared file, if there is one, and asks for the next.
    pub(super) fn take(&self) -> Option<(String, File)> {
        self.with(|shelf| {
            shelf.failed = false;
            shelf.files.pop_front()
        })
    }

    /// How many files are ready.
    pub(super) fn ready(&self) -> usize {
        self.with(|shelf| shelf.files.len())
    }

    /// Ends the thread, and waits until it has: whoever opens the ledger next prepares files of
    /// the same names.
    pub(super) fn end(&self) {
        self.with(|shelf| shelf.over = true);
        let mut shelf = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !shelf.gone {
            shelf = self.0.1.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn prepare(&self, disk: &Disk, length: u64) {
        for number in 0_u64.. {
            // A name of its own: the writer renames the last one when it likes.
            let name = format!("spare-{number}.new");
            let mut shelf = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            while !shelf.over && (shelf.failed || shelf.files.len() >= shelf.wanted) {
                shelf = self.0.1.wait(shelf).unwrap_or_else(PoisonError::into_inner);
            }
            if shelf.over {
                for (name, _) in shelf.files.drain(..) {
                    let _ = disk.remove(&name);
                }
                return;
            }
            drop(shelf);
            // Without it the writer makes one itself when it needs one.
            match disk.create(&name, length) {
                Ok(file) => self.with(|shelf| shelf.files.push_back((name, file))),
                Err(_) => {
                    let _ = disk.remove(&name);
                    self.with(|shelf| shelf.failed = true);
                }
            }
        }
    }
}

/// Says that the thread has ended, also if it panicked.
struct Gone(Spare);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.with(|shelf| shelf.gone = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_ready_before_they_are_taken_and_gone_at_the_end() {
        let folder = std::env::temp_dir().join(format!("bartizan-spare-{}", std::process::id()));
        let disk = Disk::new(&folder);
        disk.make_folder().unwrap();
        let spare = Spare::begin(disk.clone(), 1000, 2).unwrap();
        for _ in 0..3 {
            while spare.ready() < 2 {
                std::thread::yield_now();
            }
            let (name, _) = spare.take().unwrap();
            assert_eq!(disk.read(&name).unwrap(), vec![0; 1000]);
            disk.remove(&name).unwrap();
        }
        spare.end();
        while !disk.list().unwrap().is_empty() {
            std::thread::yield_now();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
