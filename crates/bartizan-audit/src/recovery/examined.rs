//! What opening a ledger would repair, found without touching it.

use std::io;
use std::path::Path;

use super::examine;
use crate::checkpoint::Checkpoint;
use crate::note::Note;
use crate::segment::{segment_name, segment_number};
use crate::storage::{Disk, Storage as _};
use crate::writer::CHECKPOINT_FILE;

/// What stands at the end of a ledger, and what becomes of it when the ledger is opened again.
///
/// Nothing is changed by looking. Opening the ledger repairs what a crash left behind: whole
/// records are kept, a torn end is moved to a file beside the segment, and a record says so.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Recovery {
    /// The log.
    pub origin: String,
    /// The last segment.
    pub segment: u64,
    /// How many entries there are that can be continued.
    pub entries: u64,
    /// How many of them no checkpoint covers.
    pub unsealed: u64,
    /// How many bytes behind them make no record, and are lost to the ledger.
    pub torn_bytes: u64,
    /// Whether the last run ended in order, so that there is nothing to repair.
    pub stopped: bool,
    /// Whether a process has the ledger: then its end is not final, and nothing is wrong with it.
    pub running: bool,
    /// Why it will not be continued: somebody changed it. Verify it, keep it, and begin another.
    pub damage: Option<String>,
}

impl Recovery {
    /// Looks at the end of the ledger in a folder.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be read.
    pub fn examine(folder: impl AsRef<Path>) -> io::Result<Self> {
        let disk = Disk::new(folder.as_ref());
        let names = disk.list()?;
        let last = names.iter().filter_map(|name| segment_number(name)).max();
        let segment = last
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the folder has no segment"))?;
        let mut recovery = Self {
            origin: String::new(),
            segment,
            entries: 0,
            unsealed: 0,
            torn_bytes: 0,
            stopped: false,
            running: disk.is_locked(),
            damage: None,
        };
        match examine(segment, &disk.read(&segment_name(segment))?) {
            Ok(tail) => {
                recovery.entries = tail.tree.size();
                recovery.unsealed = tail.unsealed;
                recovery.torn_bytes = tail.torn as u64;
                recovery.stopped = tail.stopped;
                recovery.origin = tail.header.origin;
            }
            Err(damage) => recovery.damage = Some(damage.to_string()),
        }
        let committed = committed(&disk);
        if recovery.damage.is_none()
            && let Some(committed) = committed.filter(|size| *size > recovery.entries)
        {
            let entries = recovery.entries;
            recovery.damage = Some(format!(
                "the ledger has {entries} entries, its checkpoint commits to {committed}"
            ));
        }
        Ok(recovery)
    }
}

fn committed(disk: &Disk) -> Option<u64> {
    let bytes = disk.read(CHECKPOINT_FILE).ok()?;
    let note = Note::parse(&bytes).ok()?;
    Some(Checkpoint::parse(note.text()).ok()?.size)
}
