//! Keeps the finished segments: writes their tiles, and removes their bodies when they are old.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::config::Retention;
use super::times::nanoseconds;
use super::{Ledger, Shared};
use crate::record::{Durability, PrunedRecord, Record};
use crate::segment::put_frame;
use crate::storage::Disk;
use crate::tile::{Age, cut_at, extend, older_than, remove_bodies, tiled};

/// How often it is looked whether something has grown old.
const LOOK: Duration = Duration::from_secs(60);

/// How many times as long as the tiles of a segment took the thread rests afterwards: tiles are
/// in no hurry, and the requests are.
const REST: u32 = 20;

/// How long the record of a pruning may take to be durable.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it is.
const STEP: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
struct State {
    woken: bool,
    over: bool,
    /// Whether the thread has ended, and touches the folder no more.
    gone: bool,
}

/// The thread that keeps finished segments.
#[derive(Clone, Debug, Default)]
pub(super) struct Keeper(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
    /// Held by whoever writes tiles or removes bodies.
    work: Mutex<()>,
}

impl Keeper {
    /// Begins to keep the segments of this folder, until [`end`](Self::end).
    pub(super) fn begin(&self, shared: Arc<Shared>, disk: Disk) -> io::Result<()> {
        let this = self.clone();
        std::thread::Builder::new()
            .name("audit-keep".to_owned())
            .spawn(move || {
                let _gone = Gone(this.clone());
                this.keep(&shared, &disk);
            })?;
        Ok(())
    }

    /// Says that a segment has begun, so that the one before it is finished.
    pub(super) fn wake(&self) {
        self.change(|state| state.woken = true);
    }

    /// Ends the thread, and waits until it has.
    pub(super) fn end(&self) {
        self.change(|state| state.over = true);
        let mut state = self.state();
        while !state.gone {
            let waited = self.0.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.changed.notify_all();
    }

    fn is_over(&self) -> bool {
        self.state().over
    }

    /// Waits for so long, or until it is over or, if that counts, a segment is finished.
    fn pause(&self, pause: Duration, until_woken: bool) {
        let state = self.state();
        let waited = self.0.changed.wait_timeout_while(state, pause, |state| {
            !(state.over || until_woken && state.woken)
        });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.woken &= !until_woken;
    }

    fn keep(&self, shared: &Shared, disk: &Disk) {
        while !self.is_over() {
            let begun = shared.clock.monotonic();
            let extended = {
                let _work = self.work();
                extend(disk)
            };
            let took = shared.clock.monotonic().saturating_since(begun);
            let now = nanoseconds(&*shared.clock);
            // What cannot be read or written now is tried again later.
            if let Ok(Some(index)) = shared.settings.retention.first_kept(disk, now) {
                let _ = self.prune(shared, disk, index);
            }
            if matches!(extended, Ok(Some(_))) {
                self.pause(took.saturating_mul(REST).min(LOOK), false);
            } else {
                self.pause(LOOK, true);
            }
        }
    }

    fn work(&self) -> MutexGuard<'_, ()> {
        self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the bodies of whole segments in front of entry `index`: writes their tiles, then
    /// the record, and removes nothing before both are durable.
    fn prune(&self, shared: &Shared, disk: &Disk, index: u64) -> io::Result<Option<PrunedRecord>> {
        let _work = self.work();
        // No further than it takes: there may be many segments whose turn has not come.
        while tiled(disk)?.is_none_or(|tree| tree.size < index) && extend(disk)?.is_some() {
            if self.is_over() {
                return Err(over());
            }
        }
        let Some(cut) = cut_at(disk, index)? else {
            return Ok(None);
        };
        let now = nanoseconds(&*shared.clock);
        let record = PrunedRecord::new(now, cut.segment, cut.entries, cut.length);
        self.write(shared, &Record::Pruned(record))?;
        remove_bodies(disk, cut)?;
        Ok(Some(record))
    }

    /// Writes a record, and waits until it is durable.
    fn write(&self, shared: &Shared, record: &Record<'_>) -> io::Result<()> {
        let mut frame = Vec::with_capacity(256);
        put_frame(&mut frame, |out| record.encode(out));
        let taken = shared.buffer().push(&frame, Durability::Durable);
        let taken = taken.map_err(|_| io::Error::other("the ledger took no record"))?;
        if taken.wake {
            shared.wake.notify_one();
        }
        let begun = shared.clock.monotonic();
        while !shared.waiters.is_done(taken.batch) {
            if self.is_over() {
                return Err(over());
            }
            if shared.clock.monotonic().saturating_since(begun) > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.pause(STEP, false);
        }
        Ok(())
    }
}

fn over() -> io::Error {
    io::Error::other("the run of the ledger is over")
}

/// Says that the thread has ended, also if it panicked.
struct Gone(Keeper);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.change(|state| state.gone = true);
    }
}

impl Ledger {
    /// Removes the bodies of entries in front of `index`, in whole segments: those that hold
    /// nothing else. Says what is gone; `None` if there is no such segment.
    ///
    /// Their hashes are kept in tiles, so that proofs about all entries stay as they were. That
    /// they were removed is a record of the ledger, which is durable before anything is. A sink
    /// that has not had them yet will not get them.
    ///
    /// Blocks; it takes as long as hashing the segments that have no tiles yet.
    ///
    /// # Errors
    ///
    /// If the storage fails, a segment was changed, or the run is over. What is half done is
    /// finished the next time.
    pub fn prune(&self, index: u64) -> io::Result<Option<PrunedRecord>> {
        let shared = &self.0.shared;
        if shared.keeper.is_over() {
            return Err(over());
        }
        shared.keeper.prune(shared, &shared.disk, index)
    }

    /// Removes the bodies of what is older than it may be, once and now. As
    /// [`prune`](Self::prune).
    ///
    /// # Errors
    ///
    /// As [`prune`](Self::prune).
    pub fn prune_old(&self, retention: &Retention) -> io::Result<Option<PrunedRecord>> {
        let shared = &self.0.shared;
        let now = nanoseconds(&*shared.clock);
        match retention.first_kept(&shared.disk, now)? {
            Some(index) => self.prune(index),
            None => Ok(None),
        }
    }
}

impl Retention {
    /// The first entry that is kept, now in nanoseconds since 1970-01-01T00:00:00Z; `None` if
    /// everything is.
    fn first_kept(&self, disk: &Disk, now: u64) -> io::Result<Option<u64>> {
        let by_age = match self.age {
            Some(age) => {
                let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
                older_than(disk, Age::Time(now.saturating_sub(age)))?
            }
            None => None,
        };
        let by_bytes = match self.bytes {
            Some(bytes) => older_than(disk, Age::Bytes(bytes))?,
            None => None,
        };
        Ok(by_age.max(by_bytes))
    }
}
