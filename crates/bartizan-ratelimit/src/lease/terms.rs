//! How much may be charged ahead, and for how long.

use std::time::Duration;

use crate::gcra::Gcra;
use crate::ticks::Ticks;

/// What is charged ahead is kept for this part of the time that a full burst takes to come back.
const PART_OF_BURST: u64 = 8;

/// Nothing is kept for longer.
const LONGEST: Ticks = Ticks::from_duration(Duration::from_secs(1));

/// What would be kept for less is not charged ahead.
const SHORTEST: Ticks = Ticks::from_duration(Duration::from_millis(20));

/// An instance takes this part of its share of a burst at once.
const PART_OF_SHARE: u64 = 4;

/// Of what would be less, nothing is charged ahead.
const FEWEST: u64 = 4;

/// How much may be charged ahead for a caller, and for how long.
///
/// Cells that are kept for some time count as spent at the end of it: otherwise they would come
/// back at the store while they can still be spent here, and a caller could spend them twice. What
/// may be spent at once is therefore less by what comes back in that time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Terms {
    /// For how long they may be kept.
    pub(crate) hold: Ticks,
    /// The most cells.
    pub(crate) most: u64,
    /// So many come back within a quarter of that time: what a caller at his limit waits for.
    pub(crate) batch: u64,
}

impl Terms {
    /// The terms under these policies together; `None` if a limit is so small that each request
    /// has to be asked for.
    pub(crate) fn of<'g>(
        policies: impl Iterator<Item = &'g Gcra>,
        instances: u32,
        largest: u64,
    ) -> Option<Self> {
        let mut terms: Option<Self> = None;
        for gcra in policies {
            let share = gcra.rate().burst() / u64::from(instances).max(1);
            let hold = Ticks::from_raw(gcra.ahead().raw() / PART_OF_BURST).min(LONGEST);
            let batch = hold.raw() / 4 / gcra.spacing().raw().max(1);
            let most = (share / PART_OF_SHARE).min(largest);
            let mine = Self { hold, most, batch };
            terms = Some(match terms {
                None => mine,
                Some(others) => Self {
                    hold: others.hold.min(mine.hold),
                    most: others.most.min(mine.most),
                    batch: others.batch.min(mine.batch),
                },
            });
        }
        let terms = terms.filter(|it| it.most >= FEWEST && it.hold >= SHORTEST)?;
        let batch = terms.batch.clamp(1, terms.most);
        Some(Self { batch, ..terms })
    }

    /// How long they may be kept by the clock of this machine, which may be slower than the
    /// store's by up to a 64th.
    pub(crate) fn keep(&self) -> Ticks {
        Ticks::from_raw(self.hold.raw() - self.hold.raw() / 64)
    }

    /// The sizes to ask for, largest first.
    pub(crate) fn sizes(&self, wanted: u64, cost: u64) -> Vec<u64> {
        let least = self.batch.min(wanted).max(cost).max(1);
        let mut sizes = vec![wanted.max(least), (wanted / 4).max(least), least];
        sizes.dedup();
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Rate;

    fn check(rates: &[Rate], instances: u32, expected: Option<(u64, u64, u64)>) {
        let policies: Vec<Gcra> = rates.iter().map(|rate| Gcra::new(*rate).unwrap()).collect();
        let terms = Terms::of(policies.iter(), instances, 1_000);
        let found = terms.map(|it| (it.hold.raw() / 16_000_000, it.most, it.batch));
        assert_eq!(found, expected, "{rates:?}");
    }

    #[test]
    fn small_limits_are_exact() {
        check(&[], 1, None);
        check(&[Rate::per_second(10)], 1, None);
        check(&[Rate::per_second(63)], 4, None);
        check(&[Rate::per_second(64)], 4, Some((125, 4, 2)));
        check(&[Rate::per_second(10_000)], 4, Some((125, 625, 312)));
        check(&[Rate::per_second(1_000_000)], 1, Some((125, 1_000, 1_000)));
        check(&[Rate::per_hour(10_000)], 4, Some((1_000, 625, 1)));
        // A tenth of a second's burst would be kept for 12 ms.
        check(&[Rate::per_second(1_000).with_burst(100)], 1, None);
        // The smallest decides.
        check(&[Rate::per_second(10_000), Rate::per_hour(15)], 1, None);
        check(
            &[Rate::per_second(1_000), Rate::per_hour(10_000)],
            2,
            Some((125, 125, 1)),
        );
    }

    #[test]
    fn sizes_go_down_to_what_a_caller_at_his_limit_waits_for() {
        let terms = Terms {
            hold: Ticks::from_raw(64),
            most: 100,
            batch: 10,
        };
        assert_eq!(terms.sizes(100, 1), [100, 25, 10]);
        assert_eq!(terms.sizes(8, 1), [8]);
        assert_eq!(terms.sizes(30, 1), [30, 10]);
        assert_eq!(terms.sizes(30, 20), [30, 20]);
        assert_eq!(terms.sizes(1, 1), [1]);
        assert_eq!(terms.keep(), Ticks::from_raw(63));
    }
}
