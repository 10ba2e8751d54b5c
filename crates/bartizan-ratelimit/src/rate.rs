//! How much is allowed.

mod text;

use std::fmt;
use std::time::Duration;

use crate::error::ConfigError;
use crate::gcra::Gcra;
use crate::ticks::Ticks;

/// The longest time over which a full burst may be won back: a little over two years. With twice
/// that, moments and spans together still fit the 36 years of [`Ticks`].
const LONGEST: u64 = 1 << 60;

/// So many cells per period, with a burst. A request costs one cell unless said otherwise.
///
/// Cells come back one by one, evenly over the period, until the burst is full. The burst is the
/// limit itself unless it is set: then a caller who was silent for a period may spend it at once.
///
/// Over *any* span of time, at most `burst + span · limit / period` cells are given out. A quota
/// of `n` that must hold over every window of its period, not just on average, is
/// [`never_more_than`](Self::never_more_than).
///
/// ```
/// use std::time::Duration;
/// use bartizan_ratelimit::{Gcra, Rate};
///
/// let rate = Rate::per_second(100).with_burst(200);
/// assert_eq!(Gcra::new(rate)?.interval(), Duration::from_millis(10));
/// // What overflows elsewhere, such as bytes over a long period, is counted here…
/// Gcra::new(Rate::new(6_000_000_000, Duration::from_secs(30 * 86_400)))?;
/// // …or refused.
/// assert!(Gcra::new(Rate::per_second(0)).is_err());
///
/// // As it stands in a configuration.
/// assert_eq!("100/s burst 200".parse::<Rate>()?, rate);
/// assert_eq!("5/10min".parse::<Rate>()?.to_string(), "5/10min");
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Rate {
    limit: u64,
    period: Duration,
    burst: Option<u64>,
}

impl Rate {
    /// `limit` cells per `period`.
    pub const fn new(limit: u64, period: Duration) -> Self {
        Self {
            limit,
            period,
            burst: None,
        }
    }

    /// `limit` cells per second (and not, as with some, one cell per `limit` seconds).
    pub const fn per_second(limit: u64) -> Self {
        Self::new(limit, Duration::from_secs(1))
    }

    /// `limit` cells per minute.
    pub const fn per_minute(limit: u64) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }

    /// `limit` cells per hour.
    pub const fn per_hour(limit: u64) -> Self {
        Self::new(limit, Duration::from_secs(3600))
    }

    /// `limit` cells per day of 24 hours.
    pub const fn per_day(limit: u64) -> Self {
        Self::new(limit, Duration::from_secs(86_400))
    }

    /// At most `limit` cells in *any* window of `period`, wherever it begins: half of them as a
    /// burst, and the other half evenly over the period. `limit` must be 2 or more.
    ///
    /// The other constructors hold their limit on average, and allow up to twice as much in a
    /// window that begins with a full burst, as token buckets do.
    pub const fn never_more_than(limit: u64, period: Duration) -> Self {
        let burst = limit.div_ceil(2);
        Self::new(limit - burst, period).with_burst(burst)
    }

    /// Sets how many cells may be spent at once by a caller who was silent for long enough.
    #[must_use]
    pub const fn with_burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// How many cells come back per period.
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// The period.
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// How many cells may be spent at once.
    pub const fn burst(&self) -> u64 {
        match self.burst {
            Some(burst) => burst,
            None => self.limit,
        }
    }

    /// The interval between two cells, and how far ahead of time a full burst reaches.
    pub(crate) fn spans(&self) -> Result<(Ticks, Ticks), ConfigError> {
        let refused = |problem| ConfigError::Rate {
            rate: *self,
            problem,
        };
        if self.limit == 0 || self.burst() == 0 {
            return Err(refused("a limit of nothing refuses everybody"));
        }
        let per_nanosecond = u128::from(Ticks::from_nanos(1).raw());
        let period = self.period.as_nanos() * per_nanosecond;
        if period / per_nanosecond < u128::from(self.limit) {
            return Err(refused("more than one cell per nanosecond"));
        }
        // Rounded up: never a cell more than was said.
        let interval = period.div_ceil(u128::from(self.limit));
        let ahead = interval
            .checked_mul(u128::from(self.burst()))
            .and_then(|ahead| u64::try_from(ahead).ok())
            .filter(|ahead| *ahead <= LONGEST)
            .ok_or_else(|| refused("a full burst takes more than two years to come back"))?;
        // Below `ahead`, since the burst is at least one.
        let interval = u64::try_from(interval).unwrap_or(u64::MAX);
        Ok((Ticks::from_raw(interval), Ticks::from_raw(ahead)))
    }
}

impl TryFrom<Rate> for Gcra {
    type Error = ConfigError;

    fn try_from(rate: Rate) -> Result<Self, ConfigError> {
        Self::new(rate)
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rate: Rate, expected: bool) {
        assert_eq!(rate.spans().is_ok(), expected, "{rate}");
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        check(Rate::per_second(1), true);
        check(Rate::per_second(0), false);
        check(Rate::per_second(1).with_burst(0), false);
        check(Rate::new(1, Duration::ZERO), false);
        check(Rate::new(1, Duration::MAX), false);
        check(Rate::per_second(1_000_000_000), true);
        check(Rate::per_second(1_000_000_001), false);
        check(Rate::per_second(1).with_burst(u64::MAX), false);
        check(Rate::per_day(300_000).with_burst(300_000), true);
        check(Rate::per_hour(1).with_burst(6_000), true);
        check(Rate::never_more_than(1, Duration::from_secs(1)), false);
        check(Rate::never_more_than(2, Duration::from_secs(1)), true);
        // Two years, 103 days: the last that fits.
        let years = Duration::from_nanos((1 << 60) / 16);
        check(Rate::new(1, years), true);
        check(Rate::new(1, years + Duration::from_nanos(1)), false);
    }

    #[test]
    fn rounding_never_gives_a_cell_more() {
        for limit in [3, 7, 999_999_999, 600_000_000, 123_456_789] {
            let (interval, _) = Rate::per_second(limit).spans().unwrap();
            let given = 16e9 / interval.raw() as f64;
            assert!(given <= limit as f64, "{given} of {limit}");
            assert!(given >= limit as f64 * 15.0 / 16.0, "{given} of {limit}");
        }
    }
}
