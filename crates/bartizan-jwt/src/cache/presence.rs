//! Which tokens are certainly not remembered, told without a lock.

use crate::sync::{AtomicU8, Ordering};

/// Counters for each token that fits in: of tokens that are not there, one in as many passes for
/// one that may be when the cache is full.
const PER_TOKEN: usize = 8;

/// So that a cache for millions of tokens does not take its memory before it is used.
const MOST: usize = 1 << 22;

/// Counts the tokens under each value of a part of their hash.
///
/// Reading it writes nothing, so that cores share it. A counter that is full stays full: then it
/// tells of a token that may be there and is not, which costs the lookup that it would have saved.
pub(super) struct Presence(Box<[AtomicU8]>);

impl Presence {
    pub(super) fn of(capacity: usize) -> Self {
        let counters = capacity.saturating_mul(PER_TOKEN).clamp(64, MOST);
        let counters = counters.next_power_of_two();
        Self((0..counters).map(|_| AtomicU8::new(0)).collect())
    }

    /// Whether a token with this hash may be there; it certainly is not if this says so.
    ///
    /// A token that is being taken in meanwhile counts as not there yet.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let counter = self.counter(hash);
        counter.is_none_or(|counter| counter.load(Ordering::Relaxed) > 0)
    }

    /// A token was taken in.
    pub(super) fn add(&self, hash: u64) {
        self.change(hash, |count| count.saturating_add(1));
    }

    /// A token that was taken in has left.
    pub(super) fn take(&self, hash: u64) {
        // From a full counter nobody knows how many there are.
        self.change(
            hash,
            |count| if count == u8::MAX { count } else { count - 1 },
        );
    }

    fn change(&self, hash: u64, to: impl Fn(u8) -> u8) {
        if let Some(counter) = self.counter(hash) {
            let change = |count| Some(to(count));
            let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        }
    }

    fn counter(&self, hash: u64) -> Option<&AtomicU8> {
        self.0.get(hash as usize & (self.0.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_not_there() {
        let presence = Presence::of(8);
        assert!(!presence.may_hold(5));
        presence.add(5);
        presence.add(5 + 64);
        assert!(presence.may_hold(5) && !presence.may_hold(6));
        presence.take(5);
        assert!(presence.may_hold(5 + 64), "the other is still there");
        presence.take(5 + 64);
        assert!(!presence.may_hold(5));
    }

    #[test]
    fn a_full_counter_never_says_that_nothing_is_there() {
        let presence = Presence::of(1);
        for _ in 0..300 {
            presence.add(7);
        }
        for _ in 0..300 {
            presence.take(7);
        }
        assert!(presence.may_hold(7));
    }

    #[test]
    fn its_memory_has_a_bound() {
        for (capacity, counters) in [(0, 64), (100, 1024), (16_384, 131_072), (usize::MAX, MOST)] {
            assert_eq!(Presence::of(capacity).0.len(), counters);
        }
    }
}
