//! Who is busy enough to charge ahead for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ticks::Ticks;

/// How many counters there are: 32 KiB, each found by twelve bits.
const COUNTERS: usize = 1 << 12;

/// Spreads what hashes have in common over the upper bits: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// For how long each counts: an eighth of a second.
const WINDOW: u64 = 16_000_000_000 / 8;

/// From so many round trips in a window on a caller is busy.
const BUSY: u64 = 3;

/// Counts round trips by hash, in a fixed piece of memory. Two callers that share a counter are
/// busy earlier, which does no harm.
#[derive(Debug)]
pub(super) struct Sketch(Box<[AtomicU64]>);

impl Sketch {
    pub(super) fn new() -> Self {
        Self((0..COUNTERS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Counts a round trip, and says whether the caller is busy.
    pub(super) fn is_busy(&self, hash: u64, now: Ticks) -> bool {
        // The window in the upper half, its count in the lower.
        let window = (now.raw() / WINDOW) << 32;
        let counted = |word: u64| match word & !u64::from(u32::MAX) == window {
            true => word.saturating_add(1),
            false => window + 1,
        };
        let index = (hash.wrapping_mul(SPREAD) >> 52) as usize;
        let Some(word) = self.0.get(index) else {
            return false;
        };
        let step = |word| Some(counted(word));
        let before = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        let count = before.map_or(0, counted) & u64::from(u32::MAX);
        count >= BUSY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_busy_from_the_third_round_trip_of_a_window_on() {
        let sketch = Sketch::new();
        let at = |millis: u64| Ticks::from_nanos(millis * 1_000_000);
        assert!(!sketch.is_busy(7, at(1)));
        assert!(!sketch.is_busy(7, at(2)));
        assert!(sketch.is_busy(7, at(3)));
        assert!(!sketch.is_busy(8, at(3)));
        assert!(!sketch.is_busy(7, at(126)));
    }
}
