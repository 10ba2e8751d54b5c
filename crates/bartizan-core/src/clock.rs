//! The clock seam: wall time and monotonic time, kept apart.

use std::fmt::{self, Debug};
use std::ops::Add;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the family reads time from.
///
/// Wall time answers "has this token expired?"; monotonic time answers "how long ago did we
/// fetch these keys?". They are different types, because a wall clock jumps (NTP, an operator, an
/// attacker with access to the time source) and a cache that trusted it would keep stale keys or
/// drop good ones.
///
/// Both methods must be cheap and must never block. [`SystemClock`] is the default everywhere;
/// tests use the manual clock of `bartizan-testkit`.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time of day, for comparing with what certificates and tokens say.
    fn wall(&self) -> WallTime;

    /// A point on a scale that never goes back, for measuring how long something took.
    fn monotonic(&self) -> MonotonicTime;
}

/// A moment as civil time knows it, counted from 1970-01-01T00:00:00Z without leap seconds.
///
/// ```
/// use bartizan_core::WallTime;
///
/// let expiry = WallTime::from_unix_seconds(1_800_000_000);
/// assert!(expiry < expiry + std::time::Duration::from_secs(1));
/// assert_eq!(expiry.unix_seconds(), 1_800_000_000);
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WallTime(Duration);

impl WallTime {
    /// Later than anything: what a broken clock reads, so that everything counts as expired.
    pub const MAX: Self = Self(Duration::MAX);

    /// The moment `seconds` after the Unix epoch.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The moment `elapsed` after the Unix epoch.
    pub const fn from_unix(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// Time since the Unix epoch.
    pub const fn since_unix_epoch(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is, or zero if it is not after it.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `span` earlier, stopping at the Unix epoch.
    #[must_use]
    pub const fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    /// The moment `span` later, stopping at [`WallTime::MAX`].
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WallTime({}.{:09})",
            self.0.as_secs(),
            self.0.subsec_nanos()
        )
    }
}

/// A reading of a clock that only moves forward.
///
/// Two readings compare meaningfully only when they came from the same [`Clock`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MonotonicTime(Instant);

impl MonotonicTime {
    /// A reading that stands for `instant`; for implementors of [`Clock`].
    pub const fn from_instant(instant: Instant) -> Self {
        Self(instant)
    }

    /// How long after `earlier` this is, or zero if it is not after it.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The reading `span` later, or `None` past what the platform can represent.
    pub fn checked_add(self, span: Duration) -> Option<Self> {
        self.0.checked_add(span).map(Self)
    }
}

/// The operating system's clocks.
///
/// The only place in the family that reads them. A wall clock set before 1970 reads as
/// [`WallTime::MAX`]: every token and certificate is then expired, which refuses too much rather
/// than too little.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system's clocks"
)]
impl Clock for SystemClock {
    fn wall(&self) -> WallTime {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(WallTime::MAX, WallTime)
    }

    fn monotonic(&self) -> MonotonicTime {
        MonotonicTime(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_saturates_at_both_ends() {
        assert_eq!(WallTime::MAX + Duration::from_secs(1), WallTime::MAX);
        assert_eq!(
            WallTime::from_unix_seconds(3).saturating_sub(Duration::from_secs(9)),
            WallTime::from_unix_seconds(0)
        );
        assert_eq!(
            WallTime::from_unix_seconds(3).saturating_since(WallTime::from_unix_seconds(9)),
            Duration::ZERO
        );
    }

    #[test]
    fn system_clock_is_past_2024_and_moves_forward() {
        let clock = SystemClock;
        assert!(clock.wall() > WallTime::from_unix_seconds(1_704_067_200));
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }
}
