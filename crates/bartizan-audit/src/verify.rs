//! Verification: re-hashes every byte of a ledger, and says what does not fit.

mod finding;
mod pass;
mod tiles;
mod witnesses;

use std::io;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::merkle::Hash;
use crate::note::{Note, VerifierKey};
use crate::record::Totals;
use crate::segment::{segment_name, segment_number};
use crate::storage::{Disk, Storage};
use crate::writer::{CHECKPOINT_FILE, VERIFIER_FILE};

pub use self::witnesses::Witnessed;

pub use self::finding::{Finding, FindingKind, Place, Severity, Verdict};
use self::pass::Pass;
use self::witnesses::Witnesses;

/// How a ledger is verified: against which key, and against which checkpoints.
///
/// Without a pinned key the one in the ledger's own folder is taken, which whoever can change the
/// ledger can change as well: pin the content of `log.vkey`, kept elsewhere. Without a checkpoint
/// from elsewhere nobody can tell a ledger from its own beginning: keep one outside.
#[derive(Clone, Debug, Default)]
#[must_use = "call run to verify a ledger"]
pub struct Verifier {
    key: Option<VerifierKey>,
    checkpoints: Vec<Checkpoint>,
    witnesses: Witnesses,
    running: bool,
}

/// What a verification found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verification {
    /// Everything that does not fit, or that the reader should know, in the order of the ledger.
    /// At most 1,000 are kept: the worst, and of those that are as bad the first.
    pub findings: Vec<Finding>,
    /// How many entries there are.
    pub entries: u64,
    /// The root of their tree.
    pub root: Hash,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many segments there are.
    pub segments: u64,
    /// How many checkpoints were verified.
    pub checkpoints: u64,
    /// The epoch at the end.
    pub epoch: u32,
    /// How many runs began.
    pub runs: u64,
    /// What the runs that ended in order say became of their events.
    pub totals: Totals,
    /// How many events the loss records count.
    pub lost: u64,
    /// The time of the last entry that has one.
    pub last_time: u64,
    /// How many entries were pruned.
    pub pruned: u64,
    /// The largest checkpoint that enough witnesses cosigned, if witnesses were named.
    pub witnessed: Option<Witnessed>,
}

/// How often a verification begins anew because the ledger was pruned meanwhile.
const PRUNED_TRIES: u32 = 3;

impl Verification {
    /// The worst that was found.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.findings.iter().map(Finding::severity).max() {
            Some(Severity::Tampered) => Verdict::Tampered,
            Some(Severity::Incomplete) => Verdict::Incomplete,
            _ => Verdict::Intact,
        }
    }
}

impl Verifier {
    /// A verifier without anything to hold the ledger against but itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the key of the ledger's first epoch.
    pub fn with_key(mut self, key: VerifierKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Adds a checkpoint that the ledger has to contain: one that was kept elsewhere, and whose
    /// signatures were checked there.
    pub fn add_checkpoint(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoints.push(checkpoint);
        self
    }

    /// States that the service is running, so that the end of the run is not missed. A ledger
    /// whose folder a process holds is taken for one all the same.
    pub fn allow_running(mut self) -> Self {
        self.running = true;
        self
    }

    /// Verifies the ledger in a folder.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or there is no ledger.
    pub fn run(&self, folder: &Path) -> io::Result<Verification> {
        self.run_with(folder, |_, _| {})
    }

    /// Verifies the ledger in a folder, and says after each segment how many of how many bytes
    /// were read.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or there is no ledger.
    pub fn run_with(
        &self,
        folder: &Path,
        mut progress: impl FnMut(u64, u64),
    ) -> io::Result<Verification> {
        let disk = Disk::new(folder);
        let total = disk
            .list()?
            .iter()
            .filter(|name| segment_number(name).is_some())
            .map(|name| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len()))
            .sum();
        let running = self.running || disk.is_locked();
        self.run_on(&disk, running, |read| progress(read, total))
    }

    pub(crate) fn run_on<S: Storage>(
        &self,
        storage: &S,
        running: bool,
        mut progress: impl FnMut(u64),
    ) -> io::Result<Verification> {
        for _ in 0..PRUNED_TRIES {
            match self.run_once(storage, running, &mut progress) {
                // A segment was pruned after it was seen.
                Err(error) if running && error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.run_once(storage, running, &mut progress)
    }

    fn run_once<S: Storage>(
        &self,
        storage: &S,
        running: bool,
        progress: &mut impl FnMut(u64),
    ) -> io::Result<Verification> {
        let mut numbers: Vec<u64> = storage
            .list()?
            .iter()
            .filter_map(|name| segment_number(name))
            .collect();
        numbers.sort_unstable();
        if numbers.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the folder has no segment",
            ));
        }
        let (word, findings) = self.witnesses.word(storage);
        let mut committed = self.checkpoints.clone();
        committed.extend(word.committed);
        let mut pass = Pass::new(storage, running, committed);
        pass.report.witnessed = word.witnessed;
        for kind in findings {
            pass.find(Place::default(), kind);
        }
        let own = own_key(storage);
        pass.set_key(self.key.clone(), own);
        pass.set_published(own_checkpoint(storage));
        let mut numbers = numbers.into_iter().peekable();
        let mut ahead = None;
        while let Some(number) = numbers.next() {
            let mut segment = match ahead.take() {
                Some(segment) => segment,
                None => storage.read(&segment_name(number))?,
            };
            let is_last = numbers.peek().is_none();
            if let Some(next) = numbers.peek() {
                ahead = Some(storage.read(&segment_name(*next))?);
            }
            if is_last && running {
                segment = settled(storage, number, segment)?;
            }
            pass.segment(number, &segment, is_last, ahead.as_deref());
            progress(pass.bytes());
        }
        Ok(pass.finish())
    }
}

/// Reads a segment that is being written until its last frame is whole: a write may be half done
/// when it is read, and is not the next time.
fn settled<S: Storage>(storage: &S, number: u64, mut segment: Vec<u8>) -> io::Result<Vec<u8>> {
    for _ in 0..8 {
        if pass::ends_whole(&segment) {
            break;
        }
        segment = storage.read(&segment_name(number))?;
    }
    Ok(segment)
}

/// The key in the folder; `Err` if there is one that cannot be read.
fn own_key<S: Storage>(storage: &S) -> Result<Option<VerifierKey>, ()> {
    let Ok(bytes) = storage.read(VERIFIER_FILE) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| ())?;
    let text = text.strip_suffix('\n').ok_or(())?;
    let key = VerifierKey::parse(text).map_err(|_| ())?;
    // One key has one spelling.
    if key.to_string() == text {
        Ok(Some(key))
    } else {
        Err(())
    }
}

/// The checkpoint in the folder: its size, and the note itself.
fn own_checkpoint<S: Storage>(storage: &S) -> Option<(Option<u64>, Vec<u8>)> {
    let bytes = storage.read(CHECKPOINT_FILE).ok()?;
    let size = Note::parse(&bytes)
        .ok()
        .and_then(|note| Checkpoint::parse(note.text()).ok())
        .map(|checkpoint| checkpoint.size);
    Some((size, bytes))
}

#[cfg(test)]
mod tests;
