//! An append-only list that stays in place for as many decisions as a full stack makes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::decision::Decision;

/// One for each layer of the full stack.
const INLINE: usize = 8;
/// What a request may hold in all. A service that loops through its own layers hits this.
const LIMIT: usize = 64;

#[derive(Default)]
pub(super) struct Decisions {
    taken: AtomicUsize,
    inline: [OnceLock<Decision>; INLINE],
    overflow: Mutex<Vec<Decision>>,
}

impl Decisions {
    pub(super) fn record(&self, decision: Decision) {
        // The place is reserved first, so that two layers that run at once take two places.
        let place = self.taken.fetch_add(1, Ordering::Relaxed);
        match self.inline.get(place) {
            Some(cell) => {
                let _ = cell.set(decision);
            }
            None if place < LIMIT => {
                self.overflow
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(decision);
            }
            None => {}
        }
    }

    pub(super) fn visit(&self, mut visit: impl FnMut(&Decision)) {
        self.inline
            .iter()
            .filter_map(OnceLock::get)
            .for_each(&mut visit);
        if self.taken.load(Ordering::Relaxed) > INLINE {
            let overflow = self
                .overflow
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            overflow.iter().for_each(visit);
        }
    }

    pub(super) fn lost(&self) -> usize {
        self.taken.load(Ordering::Relaxed).saturating_sub(LIMIT)
    }
}
