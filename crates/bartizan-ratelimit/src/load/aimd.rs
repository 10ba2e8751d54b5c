//! Finds how many requests a service bears.

use crate::ticks::Ticks;

/// What is left of a limit after a late response.
const DECREASE: f64 = 0.9;

/// Additive increase, multiplicative decrease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aimd {
    limit: f64,
    least: f64,
    most: f64,
    target: Ticks,
    /// Before this, lateness is that of requests which came in under the former limit.
    lowered_until: Ticks,
}

impl Aimd {
    pub(super) fn new(first: usize, least: usize, most: usize, target: Ticks) -> Self {
        Self {
            limit: first as f64,
            least: least as f64,
            most: most as f64,
            target,
            lowered_until: Ticks::ZERO,
        }
    }

    /// Takes note of one response, and gives the limit from now on.
    pub(super) fn observe(&mut self, now: Ticks, took: Ticks, in_flight: usize) -> usize {
        if took > self.target {
            if now >= self.lowered_until {
                self.limit = (self.limit * DECREASE).max(self.least);
                self.lowered_until = now.saturating_add(self.target);
            }
        } else if in_flight as f64 * 2.0 >= self.limit {
            // A limit that is hardly used says nothing about what could be borne.
            self.limit = (self.limit + 1.0 / self.limit).min(self.most);
        }
        self.limit as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimd() -> Aimd {
        Aimd::new(100, 10, 120, Ticks::from_nanos(100))
    }

    #[test]
    fn a_late_response_lowers_the_limit_once_per_target() {
        let mut aimd = aimd();
        let (at, late) = (Ticks::from_nanos, Ticks::from_nanos(101));
        assert_eq!(aimd.observe(at(1_000), late, 100), 90);
        assert_eq!(aimd.observe(at(1_099), late, 100), 90);
        assert_eq!(aimd.observe(at(1_100), late, 100), 81);
        for time in 2..200 {
            aimd.observe(at(time * 1_000), late, 100);
        }
        assert_eq!(aimd.observe(at(1_000_000), late, 100), 10);
    }

    #[test]
    fn responses_in_time_raise_a_limit_that_is_used() {
        let mut aimd = aimd();
        let (now, in_time) = (Ticks::from_nanos(1_000), Ticks::from_nanos(100));
        for _ in 0..1_000 {
            assert_eq!(aimd.observe(now, in_time, 49), 100);
        }
        // A limit's worth of them, and a few, since it grows meanwhile.
        for _ in 0..101 {
            aimd.observe(now, in_time, 60);
        }
        assert_eq!(aimd.observe(now, in_time, 60), 101);
        for _ in 0..5_000 {
            aimd.observe(now, in_time, 100);
        }
        assert_eq!(aimd.observe(now, in_time, 100), 120);
    }
}
