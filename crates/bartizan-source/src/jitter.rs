//! Randomness for spreading load.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A number that differs from call to call and from process to process.
///
/// It comes from the standard library's hash keys: SipHash under a key that the operating system
/// seeded, which is stepped at each call. That is enough to keep a fleet of services from asking
/// all at once, and saves a random number crate. It is **not** fit for secrets.
pub fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// `span` shortened or lengthened by up to one tenth, evenly, as `random` says.
///
/// ```
/// use std::time::Duration;
/// use bartizan_source::spread;
///
/// assert_eq!(spread(Duration::from_secs(10), 0), Duration::from_secs(9));
/// assert!(spread(Duration::from_secs(10), u64::MAX) <= Duration::from_secs(11));
/// ```
pub fn spread(span: Duration, random: u64) -> Duration {
    let least = span - span / 10;
    least.saturating_add(fraction(span / 5, random))
}

/// `random / 2^64` of `span`.
pub(crate) fn fraction(span: Duration, random: u64) -> Duration {
    // At most a span of 2^64 seconds times 10^9 times 2^32: fits into 128 bits.
    let nanos = (span.as_nanos() * u128::from(random >> 32)) >> 32;
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn random_numbers_do_not_repeat() {
        let drawn: HashSet<u64> = (0..1000).map(|_| random()).collect();
        assert_eq!(drawn.len(), 1000);
        let high = drawn
            .iter()
            .filter(|&&number| number > u64::MAX / 2)
            .count();
        assert!(
            (350..650).contains(&high),
            "{high} of 1000 in the upper half"
        );
    }

    proptest! {
        #[test]
        fn spread_stays_within_a_tenth(millis in 0_u64..1 << 40, random: u64) {
            let span = Duration::from_millis(millis);
            let spread = spread(span, random);
            prop_assert!(spread >= span - span / 10);
            prop_assert!(spread <= span + span / 10);
        }

        #[test]
        fn fraction_never_overflows(seconds: u64, random: u64) {
            let span = Duration::from_secs(seconds);
            prop_assert!(fraction(span, random) <= span);
        }
    }
}
