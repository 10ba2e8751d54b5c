//! What a moment of the monotonic clock is on the wall clock.

use std::time::Duration;

use bartizan_core::{Clock, MonotonicTime};

use crate::sync::{AtomicU64, Ordering};

/// For how long the wall clock is not looked at again, in nanoseconds: how late a jump of it is
/// noticed.
const FRESH: u64 = 10_000_000;

/// How far the wall clock is ahead of the monotonic one. A request has to know both, and reading a
/// clock is a good part of what its record costs.
#[derive(Debug)]
pub(super) struct Times {
    origin: MonotonicTime,
    /// When the wall clock was looked at last, in nanoseconds since the origin.
    looked: AtomicU64,
    /// What the wall clock showed at the origin. It wraps: clocks can show a time before.
    ahead: AtomicU64,
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub(super) fn nanoseconds(clock: &dyn Clock) -> u64 {
    whole(clock.wall().since_unix_epoch())
}

/// `u64::MAX` for what a broken clock shows.
fn whole(span: Duration) -> u64 {
    let seconds = span.as_secs().checked_mul(1_000_000_000);
    let whole = seconds.and_then(|it| it.checked_add(u64::from(span.subsec_nanos())));
    whole.unwrap_or(u64::MAX)
}

impl Times {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        let origin = clock.monotonic();
        Self {
            origin,
            looked: AtomicU64::new(0),
            ahead: AtomicU64::new(nanoseconds(clock)),
        }
    }

    /// Now, on both clocks.
    pub(super) fn now(&self, clock: &dyn Clock) -> (MonotonicTime, u64) {
        let now = clock.monotonic();
        let since = whole(now.saturating_since(self.origin));
        // Whoever looked later than now has looked lately enough.
        if since.saturating_sub(self.looked.load(Ordering::Acquire)) < FRESH {
            let ahead = self.ahead.load(Ordering::Relaxed);
            return (now, since.wrapping_add(ahead));
        }
        let wall = nanoseconds(clock);
        // That a clock is broken is not kept: it is asked again each time.
        if wall != u64::MAX {
            self.ahead
                .store(wall.wrapping_sub(since), Ordering::Relaxed);
            self.looked.store(since, Ordering::Release);
        }
        (now, wall)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use bartizan_core::WallTime;

    use super::*;

    /// A clock that counts how often its wall is looked at.
    #[derive(Debug)]
    struct Counted {
        origin: Instant,
        state: Mutex<(Duration, WallTime, u32)>,
    }

    impl Counted {
        fn new() -> Self {
            #[expect(clippy::disallowed_methods, reason = "any moment does as an origin")]
            let origin = Instant::now();
            let wall = WallTime::from_unix_seconds(1_800_000_000);
            Self {
                origin,
                state: Mutex::new((Duration::ZERO, wall, 0)),
            }
        }

        fn advance(&self, span: Duration) {
            let mut state = self.state.lock().unwrap();
            state.0 += span;
            state.1 = state.1 + span;
        }

        fn set_wall(&self, seconds: u64) {
            self.state.lock().unwrap().1 = WallTime::from_unix_seconds(seconds);
        }
    }

    impl Clock for Counted {
        fn wall(&self) -> WallTime {
            let mut state = self.state.lock().unwrap();
            state.2 += 1;
            state.1
        }

        fn monotonic(&self) -> MonotonicTime {
            MonotonicTime::from_instant(self.origin + self.state.lock().unwrap().0)
        }
    }

    #[test]
    fn the_wall_clock_is_read_once_in_a_while_and_told_exactly() {
        let clock = Counted::new();
        let times = Times::new(&clock);
        for step in 1..=1000 {
            clock.advance(Duration::from_micros(100));
            let expected = 1_800_000_000_000_000_000 + step * 100_000;
            assert_eq!(times.now(&clock).1, expected, "{step}");
        }
        assert_eq!(
            clock.state.lock().unwrap().2,
            11,
            "once, and ten times in 100 ms"
        );
    }

    #[test]
    fn a_clock_that_jumps_either_way_is_followed() {
        let clock = Counted::new();
        let times = Times::new(&clock);
        for seconds in [1_700_000_000, 1_900_000_000, 3] {
            clock.set_wall(seconds);
            clock.advance(Duration::from_millis(10));
            let expected = seconds * 1_000_000_000 + 10_000_000;
            assert_eq!(times.now(&clock).1, expected);
            clock.advance(Duration::from_millis(9));
            assert_eq!(times.now(&clock).1, expected + 9_000_000);
        }
    }

    #[test]
    fn a_broken_clock_stays_broken() {
        let clock = Counted::new();
        let times = Times::new(&clock);
        clock.state.lock().unwrap().1 = WallTime::MAX;
        for _ in 0..3 {
            clock.advance(Duration::from_millis(20));
            assert_eq!(times.now(&clock).1, u64::MAX);
        }
        clock.set_wall(1_800_000_000);
        assert_eq!(times.now(&clock).1, 1_800_000_000_000_000_000);
    }
}
