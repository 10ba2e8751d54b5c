//! A handful of slots that lie together in memory, under one lock.

use std::hint::spin_loop;
use std::sync::TryLockError;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Slots per line: with the lock and one word more they fill two cache lines, which the processor
/// fetches as a pair.
pub(super) const WAYS: usize = 7;

/// One line. The lock is held for some ten nanoseconds, and contended only by callers whose keys
/// share the line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Line(Mutex<Slots>);

#[cfg(not(all(test, bartizan_loom)))]
const _: () = assert!(size_of::<Line>() == 128);

/// How often a lock that is taken is looked at again before its thread goes to sleep. The model
/// checker needs no more than one look to try it.
const LOOKS: u32 = if cfg!(all(test, bartizan_loom)) { 1 } else { 5 };

/// How long the first pause between two looks is; each is twice as long as the one before. To
/// look takes the line away from whoever works on it, which is worth several turns of work.
const PAUSE: u32 = 16;

/// What a line holds. The tags come first, so that a look for a key touches one cache line.
#[derive(Debug, Default)]
pub(super) struct Slots {
    tags: [u64; WAYS],
    due: [u64; WAYS],
    /// Until when some key of this line may stand in the overflow.
    pub(super) spilled_until: u64,
}

/// What is known of one key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Entry {
    /// When its next cell is due, in raw ticks.
    pub(super) due: u64,
    /// How much was given back to it, in steps, modulo 65,536.
    pub(super) returned: u16,
}

/// The bits of a hash that tell keys of one line apart.
pub(super) const TAG: u64 = !0xffff;

impl Line {
    pub(super) fn lock(&self) -> MutexGuard<'_, Slots> {
        // To sleep costs a hundred times what is done under the lock, and makes whoever holds it
        // wake somebody.
        for look in 0..LOOKS {
            match self.0.try_lock() {
                Ok(slots) => return slots,
                // Nothing under the lock panics, and a slot is right by itself at every moment.
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => (0..PAUSE << look).for_each(|_| spin_loop()),
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    /// The slot of the key with this hash.
    pub(super) fn find(&self, hash: u64) -> Option<usize> {
        // All of them, without a branch that could be guessed wrong: which slot it is, is chance.
        let mut found = WAYS;
        for (place, tag) in self.tags.iter().enumerate() {
            found = if (tag ^ hash) & TAG == 0 {
                place
            } else {
                found
            };
        }
        (found < WAYS).then_some(found)
    }

    /// A slot whose key is as good as unknown.
    pub(super) fn free(&self, now: u64) -> Option<usize> {
        self.due.iter().position(|due| *due <= now)
    }

    /// The slot with the least debt, and its debt.
    pub(super) fn least(&self) -> (usize, u64) {
        let mut least = (0, u64::MAX);
        for (place, due) in self.due.iter().enumerate() {
            if *due < least.1 {
                least = (place, *due);
            }
        }
        least
    }

    /// How many slots are of use at present.
    pub(super) fn live(&self, now: u64) -> usize {
        self.due.iter().filter(|due| **due > now).count()
    }

    pub(super) fn entry(&self, place: usize) -> Entry {
        match (self.tags.get(place), self.due.get(place)) {
            (Some(tag), Some(due)) => Entry {
                due: *due,
                returned: (tag & !TAG) as u16,
            },
            _ => Entry::default(),
        }
    }

    pub(super) fn write(&mut self, place: usize, hash: u64, entry: Entry) {
        if let (Some(tag), Some(due)) = (self.tags.get_mut(place), self.due.get_mut(place)) {
            *tag = (hash & TAG) | u64::from(entry.returned);
            *due = entry.due;
        }
    }
}
