use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn gcra(interval: u64, burst: u64) -> Gcra {
    Gcra::new(Rate::new(1, Duration::from_nanos(interval)).with_burst(burst)).unwrap()
}

fn at(nanos: u64) -> Ticks {
    Ticks::from_nanos(nanos)
}

#[test]
fn spends_a_burst_and_wins_it_back_cell_by_cell() {
    let gcra = gcra(100, 3);
    let mut due = Ticks::ZERO;
    for left in [2, 1, 0] {
        due = gcra.charge(due, at(7), 1).unwrap();
        assert_eq!(gcra.remaining(due, at(7)), left);
    }
    let denied = gcra.charge(due, at(7), 1).unwrap_err();
    assert_eq!(denied.wait(), Some(Duration::from_nanos(100)));
    assert_eq!(gcra.next_in(due, at(7)), Duration::from_nanos(100));
    assert_eq!(gcra.full_in(due, at(7)), Duration::from_nanos(300));
    assert!(gcra.charge(due, at(106), 1).is_err());
    assert!(gcra.charge(due, at(107), 1).is_ok());
    assert!(gcra.charge(due, at(206), 2).is_err());
    assert!(gcra.charge(due, at(207), 2).is_ok());
}

#[test]
fn what_costs_more_than_a_burst_never_passes() {
    let gcra = gcra(100, 3);
    assert!(gcra.charge(Ticks::ZERO, at(1_000_000), 3).is_ok());
    for cost in [4, 1 << 40, u64::MAX] {
        let denied = gcra.charge(Ticks::ZERO, at(1_000_000), cost).unwrap_err();
        assert_eq!(denied.wait(), None, "{cost}");
    }
}

#[test]
fn the_end_of_time_admits_nobody_and_does_not_panic() {
    let gcra = gcra(100, 3);
    let end = Ticks::from_raw(u64::MAX);
    assert!(gcra.charge(end, end, 1).is_err());
    assert!(gcra.charge(Ticks::ZERO, end, 1).is_err());
    assert!(gcra.charge(end, Ticks::ZERO, 1).is_err());
    assert_eq!(gcra.owe(end, end, u64::MAX), end);
    assert_eq!(gcra.remaining(end, Ticks::ZERO), 0);
}

#[test]
fn debt_is_paid_before_anything_passes() {
    let gcra = gcra(100, 3);
    let due = gcra.owe(Ticks::ZERO, at(0), 10);
    assert_eq!(gcra.remaining(due, at(0)), 0);
    assert_eq!(gcra.next_in(due, at(0)), Duration::from_nanos(800));
    assert!(gcra.charge(due, at(799), 1).is_err());
    assert!(gcra.charge(due, at(800), 1).is_ok());
    // Free requests wait for it as well.
    assert!(gcra.charge(due, at(699), 0).is_err());
    assert!(gcra.charge(due, at(700), 0).is_ok());
}

#[test]
fn a_refund_gives_back_what_time_has_not() {
    let gcra = gcra(100, 3);
    let after = gcra.charge(Ticks::ZERO, at(0), 2).unwrap();
    assert_eq!(gcra.refund(after, at(0), 2, after, 0), at(0));
    assert_eq!(gcra.refund(after, at(150), 2, after, 0), at(150));
    // Somebody else was charged at 500; the first charge is long paid by then.
    let due = gcra.charge(after, at(500), 1).unwrap();
    assert_eq!(gcra.refund(due, at(500), 2, after, 0), due);
}

/// What may happen to one caller.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Back(u64),
    Charge(u64),
    Owe(u64),
    /// Of the charge so many places back.
    Refund(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u64..400).prop_map(Step::Wait),
        5 => (0_u64..4).prop_map(Step::Charge),
        1 => (0_u64..4).prop_map(Step::Owe),
        3 => (0_usize..6).prop_map(Step::Refund),
    ];
    vec(step, 1..60)
}

/// A charge that was made and not given back.
struct Made {
    at: Ticks,
    cost: u64,
    after: Ticks,
    returned: u64,
    refunded: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_window_admits_more_than_the_policy(
        interval in 1_u64..300, burst in 1_u64..8,
        arrivals in vec((0_u64..200, 0_u64..5), 1..80),
    ) {
        let gcra = gcra(interval, burst);
        let (mut due, mut now) = (Ticks::ZERO, 0);
        let mut admitted = Vec::new();
        for (gap, cost) in arrivals {
            now += gap;
            if let Ok(after) = gcra.charge(due, at(now), cost) {
                due = after;
                admitted.push((now, cost));
            }
        }
        for (first, (begin, _)) in admitted.iter().enumerate() {
            let mut cells = 0;
            for (end, cost) in &admitted[first..] {
                cells += cost;
                prop_assert!(cells <= burst + (end - begin) / interval, "{begin} to {end}");
            }
        }
    }

    #[test]
    fn a_request_is_admitted_if_the_bucket_has_its_cells(
        interval in 1_u64..300, burst in 1_u64..8,
        arrivals in vec((0_u64..200, 0_u64..10), 1..80),
    ) {
        // A token bucket in nanoseconds of credit, written independently.
        let gcra = gcra(interval, burst);
        let (mut due, mut now) = (Ticks::ZERO, 0);
        let mut credit = interval * burst;
        for (gap, cost) in arrivals {
            now += gap;
            credit = (credit + gap).min(interval * burst);
            let expected = credit >= cost * interval;
            let verdict = gcra.charge(due, at(now), cost);
            prop_assert_eq!(verdict.is_ok(), expected);
            match verdict {
                Ok(after) => {
                    due = after;
                    credit -= cost * interval;
                }
                Err(denied) if cost > burst => prop_assert_eq!(denied.wait(), None),
                Err(denied) => {
                    let wait = Duration::from_nanos(cost * interval - credit);
                    prop_assert_eq!(denied.wait(), Some(wait));
                }
            }
            prop_assert_eq!(gcra.remaining(due, at(now)), credit / interval);
        }
    }

    #[test]
    fn a_clock_that_goes_back_admits_no_more(
        steps in vec(prop_oneof![
            (0_u64..400).prop_map(Step::Wait),
            (0_u64..400).prop_map(Step::Back),
            (1_u64..4).prop_map(Step::Charge),
        ], 1..80),
    ) {
        let gcra = gcra(100, 3);
        let start = 100_000;
        let (mut due, mut now, mut latest, mut cells) = (Ticks::ZERO, start, start, 0);
        for step in steps {
            match step {
                Step::Wait(span) => now += span,
                Step::Back(span) => now = now.saturating_sub(span).max(start),
                Step::Charge(cost) => if let Ok(after) = gcra.charge(due, at(now), cost) {
                    due = after;
                    cells += cost;
                },
                Step::Owe(_) | Step::Refund(_) => {}
            }
            latest = latest.max(now);
            prop_assert!(cells <= 3 + (latest - start) / 100);
            // Nor is anybody locked out for longer than a burst once the clock has recovered.
            prop_assert!(gcra.charge(due, at(latest + 300), 1).is_ok());
        }
    }

    #[test]
    fn refunds_and_costs_never_create_cells(steps in steps()) {
        let gcra = gcra(100, 4);
        let (mut due, mut now, mut returned) = (Ticks::ZERO, 1_000, 0);
        let mut made: Vec<Made> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(span) | Step::Back(span) => now += span,
                Step::Charge(cost) => if let Ok(after) = gcra.charge(due, at(now), cost) {
                    due = after;
                    made.push(Made { at: at(now), cost, after, returned, refunded: false });
                },
                Step::Owe(cost) => {
                    due = gcra.owe(due, at(now), cost);
                    made.push(Made { at: at(now), cost, after: due, returned, refunded: false });
                }
                Step::Refund(back) => {
                    let open = made.iter_mut().rev().filter(|made| !made.refunded).nth(back);
                    if let Some(charge) = open {
                        let since = returned - charge.returned;
                        due = gcra.refund(due, at(now), charge.cost, charge.after, since);
                        charge.refunded = true;
                        returned += charge.cost;
                    }
                }
            }
            // The world in which what was refunded never happened.
            let without = made.iter().filter(|made| !made.refunded)
                .fold(Ticks::ZERO, |due, made| gcra.owe(due, made.at, made.cost));
            prop_assert!(due.max(at(now)) >= without.max(at(now)), "{due:?} < {without:?}");
        }
    }
}
