//! Whether a body comes in fast enough.

use std::time::Duration;

use crate::ticks::Ticks;

/// How fast a body has to come in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PaceLimits {
    /// Bytes per second.
    pub(crate) rate: u64,
    /// How far ahead a client that was fast may be.
    pub(crate) window: Duration,
    /// How long is waited before anything has come.
    pub(crate) grace: Duration,
}

/// How much patience is left for one body.
///
/// Waiting uses it up, and each byte gives some back: at a rate of 240, a 240th of a second. It
/// is never more than the window, so that a fast beginning buys no long silence. Only the time in
/// which somebody waited for the client counts: a handler that takes its time with what has come
/// is not the client's fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    limits: PaceLimits,
    left: Ticks,
    waiting_since: Option<Ticks>,
}

impl Pace {
    pub(crate) fn new(limits: PaceLimits) -> Self {
        Self {
            limits,
            left: Ticks::from_duration(limits.grace),
            waiting_since: None,
        }
    }

    /// Takes note that nothing has come, and gives the moment until which it is waited.
    pub(crate) fn wait(&mut self, now: Ticks) -> Ticks {
        let since = *self.waiting_since.get_or_insert(now);
        since.saturating_add(self.left)
    }

    /// Takes note that so many bytes have come.
    pub(crate) fn receive(&mut self, now: Ticks, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(now.saturating_sub(since));
        }
        let second = u128::from(Ticks::from_duration(Duration::from_secs(1)).raw());
        let won = second * (bytes as u128) / u128::from(self.limits.rate.max(1));
        let won = Ticks::from_raw(u64::try_from(won).unwrap_or(u64::MAX));
        // The grace may be longer than the window; what is left of it stays.
        let most = self.left.max(Ticks::from_duration(self.limits.window));
        self.left = self.left.saturating_add(won).min(most);
    }
}

#[cfg(test)]
#[cfg(not(bartizan_loom))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LIMITS: PaceLimits = PaceLimits {
        rate: 100,
        window: Duration::from_secs(5),
        grace: Duration::from_secs(10),
    };

    fn at(millis: u64) -> Ticks {
        Ticks::from_duration(Duration::from_millis(millis))
    }

    #[test]
    fn patience_is_used_up_by_waiting_and_won_back_by_bytes() {
        let mut pace = Pace::new(LIMITS);
        assert_eq!(pace.wait(at(1_000)), at(11_000));
        // To ask again changes nothing.
        assert_eq!(pace.wait(at(7_000)), at(11_000));
        pace.receive(at(8_000), 200);
        // Three seconds left, and two won.
        assert_eq!(pace.wait(at(8_000)), at(13_000));
        pace.receive(at(13_000), 0);
        assert_eq!(pace.wait(at(13_000)), at(13_000));
    }

    #[test]
    fn a_fast_beginning_buys_no_more_than_a_window() {
        let mut pace = Pace::new(LIMITS);
        pace.receive(at(0), 1 << 40);
        // The grace is longer, and still there.
        assert_eq!(pace.wait(at(0)), at(10_000));
        pace.receive(at(9_000), usize::MAX);
        assert_eq!(pace.wait(at(9_000)), at(14_000));
    }

    #[test]
    fn a_handler_that_takes_its_time_is_not_the_clients_fault() {
        let mut pace = Pace::new(LIMITS);
        pace.receive(at(0), 1);
        pace.receive(at(1_000_000), 1);
        assert_eq!(pace.wait(at(2_000_000)), at(2_010_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

        /// Whoever stays within his time has sent what the rate asks for, but for the grace.
        #[test]
        fn who_is_waited_for_has_sent_enough(waits in vec((0_u64..8_000, 0_usize..900), 1..50)) {
            let mut pace = Pace::new(LIMITS);
            let (mut now, mut waited, mut sent) = (0, 0, 0);
            for (wait, bytes) in waits {
                let until = pace.wait(at(now));
                now += wait;
                if at(now) > until {
                    break;
                }
                waited += wait;
                prop_assert!(waited <= 10_000 + sent * 10, "{waited} ms for {sent} bytes");
                sent += bytes as u64;
                pace.receive(at(now), bytes);
            }
        }
    }
}
