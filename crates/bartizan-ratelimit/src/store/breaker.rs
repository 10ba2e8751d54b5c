//! Whether the store is worth asking.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// So many failures in a row, and nobody asks any more.
const IN_A_ROW: u32 = 5;

/// So many failures among the last 32, and nobody asks any more.
const AMONG_32: u32 = 16;

/// Whether the store is worth asking: open (nobody asks) after five failures in a row, or sixteen
/// among the last 32. Somebody who does not hold up requests then asks until an answer comes.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    is_open: AtomicBool,
    /// The last 32 answers, the latest lowest; a set bit is a failure.
    history: AtomicU32,
}

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Records what came of asking. True if this has opened the breaker.
    pub(crate) fn record(&self, answered: bool) -> bool {
        let step = |history: u32| Some((history << 1) | u32::from(!answered));
        let updated = self
            .history
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, step);
        let history = updated.ok().and_then(step).unwrap_or_default();
        let row = history.trailing_ones() >= IN_A_ROW;
        if !answered && (row || history.count_ones() >= AMONG_32) {
            return !self.is_open.swap(true, Ordering::AcqRel);
        }
        false
    }

    /// The store answers again.
    pub(crate) fn close(&self) {
        self.history.store(0, Ordering::Release);
        self.is_open.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answers: impl IntoIterator<Item = bool>, opened: bool) {
        let breaker = Breaker::default();
        let times = answers
            .into_iter()
            .filter(|answered| breaker.record(*answered))
            .count();
        assert_eq!((times, breaker.is_open()), (usize::from(opened), opened));
    }

    #[test]
    fn opens_after_some_failures_in_a_row_or_many_at_all() {
        check([false; 4], false);
        check([false; 5], true);
        check([false; 50], true);
        check([false, false, false, false, true, false], false);
        check([false, true].into_iter().cycle().take(30), false);
        check([false, true].into_iter().cycle().take(31), true);
        check([false, true, true].into_iter().cycle().take(300), false);
    }

    #[test]
    fn begins_anew_when_closed() {
        let breaker = Breaker::default();
        (0..5).for_each(|_| _ = breaker.record(false));
        breaker.close();
        assert!(!breaker.is_open());
        (0..4).for_each(|_| assert!(!breaker.record(false)));
        assert!(breaker.record(false));
    }
}
