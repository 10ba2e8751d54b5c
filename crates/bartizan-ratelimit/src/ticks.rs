//! Time as limits count it.

use std::time::Duration;

/// How many ticks a nanosecond has. Intervals between cells are rarely whole nanoseconds; with a
/// sixteenth of one, rounding stays below 1 % up to 160 million cells a second.
const PER_NANOSECOND: u64 = 16;

/// A moment, or a span, in sixteenths of a nanosecond since the limiter was made.
///
/// 64 bits last for 36 years; what lies beyond is the last moment there is.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticks(u64);

impl Ticks {
    /// The moment at which the limiter was made.
    pub const ZERO: Self = Self(0);

    /// The number itself, for storing it.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// So many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos.saturating_mul(PER_NANOSECOND))
    }

    /// As long as `span`.
    pub const fn from_duration(span: Duration) -> Self {
        let whole = span
            .as_secs()
            .saturating_mul(1_000_000_000 * PER_NANOSECOND);
        Self(whole.saturating_add(span.subsec_nanos() as u64 * PER_NANOSECOND))
    }

    /// The number itself.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The span, rounded up to whole nanoseconds: whoever waits for it has waited long enough.
    pub const fn to_duration(self) -> Duration {
        Duration::from_nanos(self.0.div_ceil(PER_NANOSECOND))
    }

    /// Whole seconds, rounded up.
    pub(crate) const fn whole_seconds(self) -> u64 {
        self.0.div_ceil(1_000_000_000 * PER_NANOSECOND)
    }

    /// The moment `span` later, or the last one there is.
    #[must_use]
    pub const fn saturating_add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this is, or zero.
    #[must_use]
    pub const fn saturating_sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_survive_and_saturate() {
        let span = Duration::new(3, 7);
        assert_eq!(Ticks::from_duration(span), Ticks::from_nanos(3_000_000_007));
        assert_eq!(Ticks::from_duration(span).to_duration(), span);
        assert_eq!(Ticks::from_raw(1).to_duration(), Duration::from_nanos(1));
        assert_eq!(Ticks::from_duration(Duration::MAX).raw(), u64::MAX);
        assert_eq!(Ticks::from_nanos(u64::MAX).raw(), u64::MAX);
    }
}
