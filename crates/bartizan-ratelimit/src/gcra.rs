//! The generic cell rate algorithm: a token bucket that is one moment in time.

#[cfg(any(feature = "envoy", feature = "redis"))]
mod spans;

use std::time::Duration;

use crate::error::ConfigError;
use crate::rate::Rate;
use crate::ticks::Ticks;

/// Decides by the generic cell rate algorithm (ITU-T I.371, "virtual scheduling").
///
/// All that is known of a caller is one moment: when his next cell would be due if he had spent
/// evenly. It is equal to a token bucket that starts full. A caller who was never seen, and one
/// whose bucket is full again, are the same: his moment is not after now.
///
/// Pure and exact: `now` is an argument, nothing wraps, and a clock that goes back admits less,
/// never more.
///
/// ```
/// use bartizan_ratelimit::{Gcra, Rate, Ticks};
///
/// let gcra = Gcra::new(Rate::per_second(10).with_burst(2))?;
/// let now = Ticks::from_nanos(5);
/// let due = gcra.charge(Ticks::ZERO, now, 1).map_err(|_| "a new caller")?;
/// let due = gcra.charge(due, now, 1).map_err(|_| "the second of two")?;
/// let denied = gcra.charge(due, now, 1).expect_err("the burst is spent");
/// assert_eq!(denied.wait(), Some(std::time::Duration::from_millis(100)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gcra {
    rate: Rate,
    interval: Ticks,
    ahead: Ticks,
}

/// A request was not admitted, and nothing was charged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Denied {
    wait: Option<Duration>,
}

impl Denied {
    /// After how long the same request would be admitted, if nothing else happens; `None` if it
    /// costs more than a full burst, and never will be.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }
}

impl Gcra {
    /// Checks a rate, once.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rate`] if the limit or burst is nothing, if there is more than one cell per
    /// nanosecond, or if a full burst takes more than two years to come back.
    pub fn new(rate: Rate) -> Result<Self, ConfigError> {
        let (interval, ahead) = rate.spans()?;
        Ok(Self {
            rate,
            interval,
            ahead,
        })
    }

    /// The rate that this decides by.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The time that one cell takes to come back, rounded up to nanoseconds.
    pub fn interval(&self) -> Duration {
        self.interval.to_duration()
    }

    /// Charges `cost` cells to a caller whose next cell is `due`, and gives what is due then.
    ///
    /// # Errors
    ///
    /// [`Denied`] if there are not so many cells; nothing is charged then.
    pub fn charge(&self, due: Ticks, now: Ticks, cost: u64) -> Result<Ticks, Denied> {
        let span = self.span(cost);
        if span > self.ahead {
            return Err(Denied { wait: None });
        }
        let after = due.max(now).saturating_add(span);
        let excess = after.saturating_sub(now).saturating_sub(self.ahead);
        // At the end of time nothing can be told apart, and nobody is admitted.
        if excess > Ticks::ZERO || after.raw() == u64::MAX {
            let wait = Some(excess.to_duration());
            return Err(Denied { wait });
        }
        Ok(after)
    }

    /// Charges `cost` cells whether they are there or not: what a request turned out to cost. A
    /// caller who owes is denied until he has paid.
    #[must_use]
    pub fn owe(&self, due: Ticks, now: Ticks, cost: u64) -> Ticks {
        let after = due.max(now).saturating_add(self.span(cost));
        // Nobody is locked out for longer than what a rate may take at most to come back.
        after.min(now.saturating_add(Ticks::from_raw(1 << 61)).max(due))
    }

    /// Gives back `cost` cells of a charge that left `after` due, when `returned` cells of other
    /// charges were given back since.
    ///
    /// What time has given back already is not given again, so that a refund leaves at most what
    /// there would be if the request had never been made.
    #[must_use]
    pub fn refund(&self, due: Ticks, now: Ticks, cost: u64, after: Ticks, returned: u64) -> Ticks {
        let untouched = after
            .saturating_sub(self.span(returned))
            .saturating_sub(now);
        due.saturating_sub(self.span(cost).min(untouched))
    }

    /// How many whole cells are left.
    pub fn remaining(&self, due: Ticks, now: Ticks) -> u64 {
        let spent = due.saturating_sub(now);
        self.ahead.saturating_sub(spent).raw() / self.interval.raw().max(1)
    }

    /// After how long the next whole cell comes back; zero if none is missing.
    pub fn next_in(&self, due: Ticks, now: Ticks) -> Duration {
        self.standing(due, now).1.to_duration()
    }

    /// How many whole cells are left, and after how long the next one comes back.
    pub(crate) fn standing(&self, due: Ticks, now: Ticks) -> (u64, Ticks) {
        let spent = due.saturating_sub(now);
        let remaining = self.remaining(due, now);
        if spent == Ticks::ZERO {
            return (remaining, Ticks::ZERO);
        }
        // One cell more than are left now; for a caller who owes, the first one.
        let wanted = self.span(remaining + 1);
        let next_in = spent.saturating_sub(self.ahead.saturating_sub(wanted));
        (remaining, next_in)
    }

    /// After how long all cells are there again.
    pub fn full_in(&self, due: Ticks, now: Ticks) -> Duration {
        due.saturating_sub(now).to_duration()
    }

    fn span(&self, cost: u64) -> Ticks {
        Ticks::from_raw(self.interval.raw().saturating_mul(cost))
    }
}

#[cfg(test)]
#[cfg(not(bartizan_loom))]
mod tests;
