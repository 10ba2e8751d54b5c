use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::rate::Rate;

fn gcra(rate: Rate) -> Gcra {
    Gcra::new(rate).unwrap()
}

/// Hashes as a keyed hash would give them (splitmix64).
fn hash(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn millis(time: u64) -> Ticks {
    Ticks::from_duration(Duration::from_millis(time))
}

#[test]
fn keys_are_counted_apart() {
    let table = Table::new(64, None);
    let gcra = gcra(Rate::per_second(2));
    for key in 0..8 {
        assert!(table.charge(hash(key), Ticks::ZERO, &gcra, 1).is_ok());
        assert!(table.charge(hash(key), Ticks::ZERO, &gcra, 1).is_ok());
        assert!(table.charge(hash(key), Ticks::ZERO, &gcra, 1).is_err());
    }
    assert_eq!(table.fill(Ticks::ZERO).0, 8);
    assert_eq!(table.fill(millis(999)).0, 8);
    assert_eq!(table.fill(millis(1_000)).0, 0);
}

#[test]
fn a_table_takes_the_memory_that_was_asked_for() {
    for keys in [1, 7, 8, 1_000, 65_536] {
        let table = Table::new(keys, None);
        let (_, slots) = table.fill(Ticks::ZERO);
        assert!(slots >= keys, "{slots} for {keys}");
        assert!(slots <= keys + 3 * WAYS, "{slots} for {keys}");
        assert_eq!(table.bytes(), slots / WAYS * 128);
    }
}

#[test]
fn a_key_that_spilled_over_is_found_again() {
    // One line and one overflow line: fourteen slots.
    let table = Table::new(14, None);
    let gcra = gcra(Rate::per_second(1));
    for key in 0..14 {
        assert!(
            table.charge(hash(key), Ticks::ZERO, &gcra, 1).is_ok(),
            "{key}"
        );
    }
    for key in 0..14 {
        assert!(
            table.charge(hash(key), millis(500), &gcra, 1).is_err(),
            "{key}"
        );
    }
    assert_eq!(table.evicted(), 0);
    // Half of them spend again, and the others do not: the line has free slots then, and those
    // who spilled over are still found.
    for key in 7..14 {
        assert!(
            table.charge(hash(key), millis(1_000), &gcra, 1).is_ok(),
            "{key}"
        );
    }
    for key in 7..14 {
        assert!(
            table.charge(hash(key), millis(1_500), &gcra, 1).is_err(),
            "{key}"
        );
    }
    assert_eq!(table.evicted(), 0);
}

#[test]
fn the_least_indebted_makes_room() {
    let table = Table::new(14, None);
    let gcra = gcra(Rate::per_second(1).with_burst(10));
    for key in 0..14 {
        assert!(
            table
                .charge(hash(key), Ticks::ZERO, &gcra, 1 + key % 10)
                .is_ok()
        );
    }
    // Keys 0 and 10 owe one cell, the others more.
    assert!(table.charge(hash(100), Ticks::ZERO, &gcra, 9).is_ok());
    assert!(table.charge(hash(101), Ticks::ZERO, &gcra, 9).is_ok());
    assert_eq!(table.evicted(), 2);
    for key in (1..10).chain(11..14) {
        let spent = millis(1_000 * (1 + key % 10));
        assert_eq!(table.due(hash(key), Ticks::ZERO), spent, "{key}");
    }
    for key in [0, 10] {
        assert_eq!(table.due(hash(key), Ticks::ZERO), Ticks::ZERO, "{key}");
    }
}

#[test]
fn newcomers_are_turned_away_only_while_the_table_is_full() {
    let newcomers = Newcomers::new(gcra(Rate::per_second(2)));
    let table = Table::new(14, Some(newcomers));
    let gcra = gcra(Rate::per_second(1).with_burst(10));
    for key in 0..16 {
        assert!(
            table.charge(hash(key), Ticks::ZERO, &gcra, 5).is_ok(),
            "{key}"
        );
    }
    let refused = table.charge(hash(16), Ticks::ZERO, &gcra, 5).unwrap_err();
    let wait = Duration::from_millis(500);
    assert_eq!(refused, Refused::Crowded { wait });
    assert_eq!((table.evicted(), table.turned_away()), (2, 1));
    // Who is known is served, and so is everybody once there is room.
    assert!(table.charge(hash(15), Ticks::ZERO, &gcra, 1).is_ok());
    for key in 17..24 {
        assert!(
            table.charge(hash(key), millis(6_000), &gcra, 1).is_ok(),
            "{key}"
        );
    }
}

#[test]
fn what_is_given_back_after_an_eviction_is_void() {
    let table = Table::new(14, None);
    let gcra = gcra(Rate::per_second(1).with_burst(10));
    let receipt = table.charge(hash(0), Ticks::ZERO, &gcra, 1).unwrap();
    for key in 1..15 {
        assert!(
            table.charge(hash(key), Ticks::ZERO, &gcra, 5).is_ok(),
            "{key}"
        );
    }
    assert_eq!(table.evicted(), 1);
    // The key comes back and pushes another out; its old receipt is worth nothing.
    assert!(table.charge(hash(0), Ticks::ZERO, &gcra, 10).is_ok());
    table.refund(hash(0), Ticks::ZERO, &gcra, 1, receipt);
    assert_eq!(table.due(hash(0), Ticks::ZERO), millis(10_000));
}

#[test]
fn a_refund_is_exact_while_nothing_else_was_given_back() {
    let table = Table::new(14, None);
    let gcra = gcra(Rate::per_second(1).with_burst(100_000));
    for cost in [1, 7, 30_000] {
        let receipt = table.charge(hash(1), Ticks::ZERO, &gcra, cost).unwrap();
        table.refund(hash(1), Ticks::ZERO, &gcra, cost, receipt);
        assert_eq!(table.due(hash(1), Ticks::ZERO), Ticks::ZERO, "{cost}");
    }
}

#[test]
fn threads_together_get_what_one_would() {
    let gcra = gcra(Rate::per_hour(100));
    for round in 0..20 {
        let table = Table::new(14, None);
        let admitted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if table.charge(hash(round), Ticks::ZERO, &gcra, 1).is_ok() {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 100);
    }
}

#[test]
fn threads_that_fight_over_a_full_table_neither_deadlock_nor_admit_more() {
    let gcra = gcra(Rate::per_hour(20));
    let table = Table::new(140, None);
    let offender = hash(u64::MAX);
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (table, gcra, admitted) = (&table, &gcra, &admitted);
            scope.spawn(move || {
                for flood in 0..5_000 {
                    let _ = table.charge(hash(thread << 32 | flood), Ticks::ZERO, gcra, 1);
                    if table.charge(offender, Ticks::ZERO, gcra, 1).is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // While he has spent no more than the flood's keys he may be pushed out among them; one cell
    // is all that this can bring him, once per time.
    let admitted = admitted.into_inner();
    assert!((20..30).contains(&admitted), "{admitted}");
    assert!(table.evicted() > 30_000);
}

/// The research note's simulation at a sixteenth of its size: 65,536 slots, 10 a second with a
/// burst of 20, 100 abusers at 100 a second each, 5,000 legitimate keys at 2 a second each, and a
/// flood of keys that are used once.
fn simulate(flood_per_second: u64) -> (f64, u64, u64) {
    const SCALE: u64 = 16;
    let table = Table::new(65_536 / SCALE as usize, None);
    let gcra = gcra(Rate::per_second(10).with_burst(20));
    let (abusers, legitimate) = (100 / SCALE, 5_000 / SCALE);
    let flood_per_milli = flood_per_second / SCALE / 1_000;
    let (mut admitted, mut denied, mut fresh) = (0, 0, 1 << 40);
    for time in 0..8_000 {
        let now = millis(time);
        for _ in 0..flood_per_milli {
            fresh += 1;
            let _ = table.charge(hash(fresh), now, &gcra, 1);
        }
        for abuser in (0..abusers).filter(|abuser| (time + abuser) % 10 == 0) {
            let verdict = table.charge(hash(abuser), now, &gcra, 1);
            // Once the bursts are spent.
            admitted += u64::from(verdict.is_ok() && time >= 3_000);
        }
        for key in (0..legitimate).filter(|key| (time + key) % 500 == 0) {
            denied += u64::from(table.charge(hash(1_000_000 + key), now, &gcra, 1).is_err());
        }
    }
    let per_second = admitted as f64 / 5.0 / abusers as f64;
    (per_second, denied, table.evicted())
}

#[test]
fn no_flood_frees_an_abuser_and_no_legitimate_caller_is_denied() {
    for flood in [200_000, 3_000_000] {
        let (per_second, denied, evicted) = simulate(flood);
        assert!(
            (9.5..=10.2).contains(&per_second),
            "{per_second} at {flood}"
        );
        assert_eq!(denied, 0, "at {flood}");
        // The flood is worth its name.
        assert_eq!(
            evicted > 1_000_000,
            flood == 3_000_000,
            "{evicted} at {flood}"
        );
    }
}

#[test]
fn with_32_bytes_for_each_live_key_hardly_any_is_evicted() {
    let gcra = gcra(Rate::per_hour(10));
    let table = Table::new(28_000, None);
    let keys = table.bytes() as u64 / 32;
    for key in 0..keys {
        assert!(table.charge(hash(key), Ticks::ZERO, &gcra, 1).is_ok());
    }
    assert!(
        table.evicted() <= keys / 10_000,
        "{} of {keys}",
        table.evicted()
    );
}

/// What may happen to one key of a crowded table.
#[derive(Clone, Debug)]
enum Step {
    Charge(u64),
    Owe(u64),
    /// Of the charge so many places back.
    Refund(usize),
    Wait(u64),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    /// However many others come, each of whom has spent less: an offender is admitted when he
    /// would be if he were alone.
    #[test]
    fn eviction_never_admits_an_offender(
        burst in 4_u64..20, steps in vec((0_u64..1_000, 0_u64..40), 1..100),
    ) {
        let gcra = gcra(Rate::per_second(1).with_burst(burst));
        let table = Table::new(14, None);
        let mut due = gcra.charge(Ticks::ZERO, Ticks::ZERO, burst).unwrap();
        prop_assert!(table.charge(hash(u64::MAX), Ticks::ZERO, &gcra, burst).is_ok());
        let (mut now, mut fresh) = (0, 0);
        for (wait, flood) in steps {
            now += wait;
            for _ in 0..flood {
                fresh += 1;
                let _ = table.charge(hash(fresh), millis(now), &gcra, 1);
            }
            let alone = gcra.charge(due, millis(now), 1);
            let verdict = table.charge(hash(u64::MAX), millis(now), &gcra, 1);
            prop_assert_eq!(verdict.is_ok(), alone.is_ok(), "at {} of {} others", now, fresh);
            due = alone.unwrap_or(due);
        }
    }

    /// The table remembers of refunds only so much as fits 16 bits; that is never in favour of
    /// whoever gets them.
    #[test]
    fn refunds_through_the_table_never_create_cells(
        burst in 1_u64..100_000,
        steps in vec(prop_oneof![
            5 => (0_u64..30_000).prop_map(Step::Charge),
            1 => (0_u64..30_000).prop_map(Step::Owe),
            4 => (0_usize..6).prop_map(Step::Refund),
            3 => (0_u64..20_000).prop_map(Step::Wait),
        ], 1..60),
    ) {
        let gcra = gcra(Rate::per_second(1_000).with_burst(burst));
        let table = Table::new(14, None);
        let mut now = 1_000;
        // Each charge: when, how much, the proof for giving it back.
        let mut made: Vec<(Ticks, u64, Option<Receipt>)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(span) => now += span,
                Step::Charge(cost) => {
                    if let Ok(receipt) = table.charge(hash(1), millis(now), &gcra, cost) {
                        made.push((millis(now), cost, Some(receipt)));
                    }
                }
                Step::Owe(cost) => {
                    // Only who has been charged can owe.
                    if !made.is_empty() {
                        table.owe(hash(1), millis(now), &gcra, cost);
                        made.push((millis(now), cost, None));
                    }
                }
                Step::Refund(back) => {
                    let open = made.iter().rposition(|(_, _, receipt)| receipt.is_some());
                    if let Some(place) = open.and_then(|last| last.checked_sub(back))
                        && let (_, cost, Some(receipt)) = made[place]
                    {
                        table.refund(hash(1), millis(now), &gcra, cost, receipt);
                        made.remove(place);
                    }
                }
            }
            // The world in which what was refunded never happened.
            let without = made.iter().fold(Ticks::ZERO, |due, (at, cost, _)| {
                gcra.owe(due, *at, *cost)
            });
            let due = table.due(hash(1), millis(now));
            prop_assert!(due.max(millis(now)) >= without.max(millis(now)), "{due:?} < {without:?}");
        }
    }
}
