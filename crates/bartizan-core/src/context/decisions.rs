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
    inline: [OnceLock<Decision>; INLINE],
    /// How many came when those were taken.
    beyond: AtomicUsize,
    overflow: Mutex<Vec<Decision>>,
}

impl Decisions {
    pub(super) fn record(&self, mut decision: Decision) {
        // Two layers that run at once take two places: whoever finds one taken goes on.
        for cell in &self.inline {
            decision = match cell.set(decision) {
                Ok(()) => return,
                Err(decision) => decision,
            };
        }
        if self.beyond.fetch_add(1, Ordering::Relaxed) < LIMIT - INLINE {
            let overflow = self.overflow.lock();
            let mut overflow = overflow.unwrap_or_else(PoisonError::into_inner);
            overflow.push(decision);
        }
    }

    pub(super) fn visit(&self, mut visit: impl FnMut(&Decision)) {
        self.inline
            .iter()
            .filter_map(OnceLock::get)
            .for_each(&mut visit);
        if self.beyond.load(Ordering::Relaxed) > 0 {
            let overflow = self
                .overflow
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            overflow.iter().for_each(visit);
        }
    }

    pub(super) fn lost(&self) -> usize {
        let beyond = self.beyond.load(Ordering::Relaxed);
        beyond.saturating_sub(LIMIT - INLINE)
    }
}
