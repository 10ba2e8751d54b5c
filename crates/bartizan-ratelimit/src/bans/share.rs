//! How much of the traffic bans may refuse.

use std::time::Duration;

use crate::sync::{Mutex, PoisonError};
use crate::ticks::Ticks;

/// Over which time shares are measured.
const WINDOW: Duration = Duration::from_secs(60);

/// With fewer requests than this in a window, a share says nothing.
const LEAST: u64 = 100;

/// Holds refusals to a share of all requests.
#[derive(Debug)]
pub(super) struct Share {
    percent: u64,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    begun: Ticks,
    requests: u64,
    refused: u64,
}

impl Share {
    pub(super) fn new(percent: u8) -> Self {
        Self {
            percent: percent.into(),
            window: Mutex::default(),
        }
    }

    /// Counts a request, and says whether it may be refused if it is to be.
    pub(super) fn count(&self, now: Ticks, is_banned: bool) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(window.begun) >= Ticks::from_duration(WINDOW) {
            *window = Window {
                begun: now,
                ..Window::default()
            };
        }
        window.requests += 1;
        if !is_banned {
            return false;
        }
        let too_many = (window.refused + 1) * 100 > self.percent * window.requests;
        if window.requests >= LEAST && too_many {
            return false;
        }
        window.refused += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_held_to_their_share() {
        let share = Share::new(25);
        let at = |seconds| Ticks::from_duration(Duration::from_secs(seconds));
        // Every second request is banned: half of them, and a quarter may be refused.
        let refused = (0..2_000)
            .filter(|n| share.count(at(0), n % 2 == 0))
            .count();
        assert!((480..=500).contains(&refused), "{refused}");
        // A new minute begins anew, and a few requests say nothing.
        let refused = (0..50).filter(|_| share.count(at(60), true)).count();
        assert_eq!(refused, 50);
    }
}
