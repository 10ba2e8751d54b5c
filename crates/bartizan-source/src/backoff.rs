//! How long to wait after the n-th failure in a row.

use std::time::Duration;

use crate::jitter::fraction;

/// Exponential backoff with full jitter.
///
/// The n-th wait is drawn evenly from zero to `min(cap, base * 2^n)`: a crowd of clients that
/// failed together then spreads over the whole span, instead of returning together. Pure: the
/// randomness is an argument, such as [`random`](crate::random).
///
/// ```
/// use std::time::Duration;
/// use bartizan_source::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// assert!(backoff.next(u64::MAX) <= Duration::from_secs(1));
/// assert!(backoff.next(u64::MAX) > Duration::from_secs(1));
/// assert_eq!(backoff.next(0), Duration::ZERO);
/// backoff.reset();
/// assert!(backoff.next(u64::MAX) <= Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Begins with waits up to `base`, doubling up to `cap`. A `base` above `cap` counts as `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        let base = base.min(cap);
        Self {
            base,
            cap,
            ceiling: base,
        }
    }

    /// The wait before the next attempt; `random` should be evenly distributed.
    #[must_use = "the wait has been counted"]
    pub fn next(&mut self, random: u64) -> Duration {
        let wait = fraction(self.ceiling, random);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.cap);
        wait
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.ceiling = self.base;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let ceilings: Vec<u64> = (0..9)
            .map(|_| (backoff.next(u64::MAX) + Duration::from_millis(1)).as_secs())
            .collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    proptest! {
        #[test]
        fn never_exceeds_the_cap(base: u32, cap: u32, draws: Vec<u64>) {
            let cap = Duration::from_millis(cap.into());
            let mut backoff = Backoff::new(Duration::from_millis(base.into()), cap);
            for random in draws {
                prop_assert!(backoff.next(random) <= cap);
            }
        }
    }
}
