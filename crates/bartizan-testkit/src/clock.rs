//! A clock that stands still until a test moves it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, MonotonicTime, SystemClock, WallTime};

/// A [`Clock`] that stands still until it is moved.
///
/// Clones share one state, so a test keeps one clone and hands another to the layer. Wall time and
/// monotonic time are moved apart: [`advance`](Self::advance) moves both, as passing time does;
/// [`set_wall`](Self::set_wall) moves wall time alone, as NTP or an operator does, and may move it
/// back.
///
/// ```
/// use std::time::Duration;
///
/// use bartizan_core::{Clock, WallTime};
/// use bartizan_testkit::ManualClock;
///
/// let clock = ManualClock::at(WallTime::from_unix_seconds(1_800_000_000));
/// let started = clock.monotonic();
/// clock.advance(Duration::from_secs(60));
/// clock.set_wall(WallTime::from_unix_seconds(1_700_000_000));
/// assert_eq!(clock.wall().unix_seconds(), 1_700_000_000);
/// assert_eq!(clock.monotonic().saturating_since(started), Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: MonotonicTime,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    wall: WallTime,
    elapsed: Duration,
}

impl ManualClock {
    /// A clock that shows `wall`.
    pub fn at(wall: WallTime) -> Self {
        Self {
            start: SystemClock.monotonic(),
            state: Arc::new(Mutex::new(State {
                wall,
                elapsed: Duration::ZERO,
            })),
        }
    }

    /// A clock that shows `seconds` after the Unix epoch.
    pub fn at_unix_seconds(seconds: u64) -> Self {
        Self::at(WallTime::from_unix_seconds(seconds))
    }

    /// A clock that shows what the system's clock shows now, for tests against peers that read
    /// that one.
    pub fn at_system_time() -> Self {
        Self::at(SystemClock.wall())
    }

    /// Lets `span` pass on both scales.
    pub fn advance(&self, span: Duration) {
        self.change(|state| {
            state.wall = state.wall + span;
            state.elapsed = state.elapsed.saturating_add(span);
        });
    }

    /// Makes wall time jump to `wall`, forwards or back. Monotonic time stands still.
    pub fn set_wall(&self, wall: WallTime) {
        self.change(|state| state.wall = wall);
    }

    /// Makes wall time jump back by `span`, at most to the Unix epoch. Monotonic time stands
    /// still.
    pub fn set_wall_back(&self, span: Duration) {
        self.change(|state| state.wall = state.wall.saturating_sub(span));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        // A panic in another test thread leaves the state whole: both fields are plain values.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    /// A clock that shows 2027-01-15T08:00:00Z, a moment like any other.
    fn default() -> Self {
        Self::at_unix_seconds(1_800_000_000)
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> WallTime {
        self.read().wall
    }

    fn monotonic(&self) -> MonotonicTime {
        // The platform's scale ends centuries from now; a test that goes there stays at the start.
        self.start
            .checked_add(self.read().elapsed)
            .unwrap_or(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_until_moved() {
        let clock = ManualClock::at_unix_seconds(100);
        let first = clock.monotonic();
        assert_eq!(clock.wall(), WallTime::from_unix_seconds(100));
        assert_eq!(clock.monotonic(), first);
    }

    #[test]
    fn clones_share_the_state() {
        let clock = ManualClock::at_unix_seconds(100);
        let other = clock.clone();
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(
            other.wall().since_unix_epoch(),
            Duration::from_millis(101_500)
        );
        assert_eq!(other.monotonic(), clock.monotonic());
    }

    #[test]
    fn wall_time_jumps_without_monotonic_time() {
        let clock = ManualClock::at_unix_seconds(100);
        let start = clock.monotonic();
        clock.set_wall_back(Duration::from_secs(40));
        assert_eq!(clock.wall(), WallTime::from_unix_seconds(60));
        clock.set_wall(WallTime::from_unix_seconds(5_000));
        assert_eq!(clock.wall(), WallTime::from_unix_seconds(5_000));
        assert_eq!(clock.monotonic(), start);
    }

    #[test]
    fn spans_too_long_for_either_scale_do_not_panic() {
        let clock = ManualClock::at_unix_seconds(100);
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.wall(), WallTime::MAX);
        let _ = clock.monotonic();
    }
}
