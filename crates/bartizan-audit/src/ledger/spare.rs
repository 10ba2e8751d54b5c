//! Prepares the next segment while the last is written: filling it with zeros takes as long as
//! filling it with records, and the writer must not wait for it.

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::storage::{Disk, Storage as _};

/// The prepared file, and whether another one is wanted.
#[derive(Debug, Default)]
struct Slot {
    file: Option<(String, File)>,
    wanted: bool,
    over: bool,
}

/// One prepared segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(Arc<(Mutex<Slot>, Condvar)>);

impl Spare {
    /// Begins to prepare files on a thread of its own, until [`end`](Self::end).
    pub(super) fn begin(disk: Disk, length: u64) -> std::io::Result<Self> {
        let spare = Self::default();
        spare.with(|slot| slot.wanted = true);
        let mine = spare.clone();
        std::thread::Builder::new()
            .name("audit-prepare".to_owned())
            .spawn(move || mine.prepare(&disk, length))?;
        Ok(spare)
    }

    fn with<R>(&self, change: impl FnOnce(&mut Slot) -> R) -> R {
        let result = change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
        result
    }

    /// Gives the prepared file, if there is one, and asks for the next.
    pub(super) fn take(&self) -> Option<(String, File)> {
        self.with(|slot| {
            slot.wanted = true;
            slot.file.take()
        })
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        self.with(|slot| slot.over = true);
    }

    fn prepare(&self, disk: &Disk, length: u64) {
        for number in 0_u64.. {
            // A name of its own: the writer renames the last one when it likes.
            let name = format!("spare-{number}.new");
            let mut slot = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            while !slot.over && (!slot.wanted || slot.file.is_some()) {
                slot = self.0.1.wait(slot).unwrap_or_else(PoisonError::into_inner);
            }
            if slot.over {
                if let Some((name, _)) = slot.file.take() {
                    let _ = disk.remove(&name);
                }
                return;
            }
            slot.wanted = false;
            drop(slot);
            // Without it the writer makes one itself when it needs one.
            match disk.create(&name, length) {
                Ok(file) => self.with(|slot| slot.file = Some((name, file))),
                Err(_) => drop(disk.remove(&name)),
            }
        }
    }
}
