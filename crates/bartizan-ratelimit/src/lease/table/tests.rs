use super::*;
use crate::store::Subject;

const TERMS: Terms = Terms {
    hold: Ticks::from_nanos(1_000_000),
    most: 100,
    batch: 1,
};

fn at(micros: u64) -> Ticks {
    Ticks::from_nanos(micros * 1_000)
}

fn place(hash: u64) -> Place {
    Place { hash, policies: 1 }
}

#[cfg(feature = "redis")]
fn subject() -> Subject {
    Subject::Hidden("somebody".into())
}

#[cfg(not(feature = "redis"))]
fn subject() -> Subject {
    Subject::Plain(Vec::new().into())
}

fn grant() -> Arc<Grant> {
    Arc::new(Grant {
        subject: subject(),
        charges: Vec::new(),
        standings: Vec::new(),
        taken: Ticks::ZERO,
    })
}

/// A table in which somebody has cells for a millisecond.
fn with_cells(cells: u64) -> (Leases, Arc<Grant>) {
    let leases = Leases::new(64);
    let grant = grant();
    let _ = lead(&leases, at(0));
    leases.deposit(place(7), cells, at(1_000), &grant);
    (leases, grant)
}

/// Asks until somebody is busy.
fn lead(leases: &Leases, now: Ticks) -> Order {
    for _ in 0..3 {
        match leases.seek(place(7), 1, now, Some(TERMS)) {
            Seek::Lead(order) => return order,
            Seek::One => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("three round trips are busy");
}

fn spend(leases: &Leases, cost: u64, now: Ticks) -> Option<Option<u64>> {
    let (_, order) = leases.spend(place(7), cost, now, || Some(TERMS))?;
    Some(order.map(|order| order.cells))
}

#[test]
fn one_leads_and_the_others_wait() {
    let leases = Leases::new(64);
    let order = lead(&leases, at(0));
    assert!(order.cells >= 1);
    let Seek::Wait(landing) = leases.seek(place(7), 1, at(1), Some(TERMS)) else {
        panic!("somebody leads already");
    };
    assert_eq!(*landing.borrow(), Landing::Flying);
    // Whoever led is gone, and the next one leads.
    drop(order);
    let next = leases.seek(place(7), 1, at(2), Some(TERMS));
    assert!(matches!(next, Seek::Lead(_)), "{next:?}");
    leases.lift(place(7));
    let next = leases.seek(place(7), 1, at(3), Some(TERMS));
    assert!(matches!(next, Seek::Lead(_)), "{next:?}");
}

#[test]
fn cells_are_spent_once_and_refilled_ahead() {
    let (leases, _) = with_cells(10);
    let orders: Vec<bool> = (0..10)
        .map(|step| spend(&leases, 1, at(step)).unwrap().is_some())
        .collect();
    // One refill, at half.
    let expected = [
        false, false, false, false, true, false, false, false, false, false,
    ];
    assert_eq!(orders, expected);
    assert_eq!(spend(&leases, 1, at(11)), None);
    leases.deposit(place(7), 2, at(1_000), &grant());
    assert!(spend(&leases, 2, at(12)).is_some());
    assert_eq!(spend(&leases, 1, at(13)), None);
}

#[test]
fn who_spends_more_than_may_be_charged_at_once_is_refilled_as_early_as_can_be() {
    let (leases, _) = with_cells(100);
    // A hundred in two microseconds; the next order is for as much as there may be.
    assert_eq!(spend(&leases, 50, at(1)), Some(Some(100)));
    leases.deposit(place(7), 100, at(1_000), &grant());
    assert_eq!(spend(&leases, 50, at(2)), Some(None));
    assert_eq!(spend(&leases, 1, at(3)), Some(Some(100)));
}

#[test]
fn the_next_hand_comes_after_the_first_and_nothing_is_lost() {
    let (leases, first) = with_cells(10);
    leases.deposit(place(7), 10, at(2_000), &grant());
    assert!(spend(&leases, 8, at(1)).is_some());
    // Two are left of the first: too few, and kept for being given back.
    assert!(spend(&leases, 3, at(2)).is_some());
    let rest = leases.sweep(at(3));
    assert!(matches!(rest.as_slice(), [it] if it.cells == 2 && Arc::ptr_eq(&it.grant, &first)));
    assert!(spend(&leases, 7, at(4)).is_some());
    assert_eq!(spend(&leases, 1, at(5)), None);
}

#[test]
fn what_is_over_is_not_spent_but_given_back() {
    let (leases, grant) = with_cells(10);
    assert!(spend(&leases, 1, at(999)).is_some());
    assert_eq!(spend(&leases, 1, at(1_000)), None);
    assert!(!leases.put_back(place(7), 1, at(1_000), &grant));
    leases.lift(place(7));
    let rest = leases.sweep(at(1_000));
    assert!(matches!(rest.as_slice(), [it] if it.cells == 9));
    assert_eq!(leases.len(), 1);
    assert!(leases.sweep(at(3_000_000)).is_empty());
    assert_eq!(leases.len(), 0);
}

#[test]
fn cells_that_are_put_back_are_spent_again_and_never_more() {
    let (leases, first) = with_cells(3);
    assert!(spend(&leases, 3, at(1)).is_some());
    assert!(
        !leases.put_back(place(7), 3, at(2), &grant()),
        "of another grant"
    );
    assert!(leases.put_back(place(7), 2, at(2), &first));
    assert!(leases.put_back(place(7), 9, at(2), &first));
    assert!(spend(&leases, 3, at(3)).is_some());
    assert_eq!(spend(&leases, 1, at(4)), None);
}

#[test]
fn a_full_table_takes_nobody_in() {
    let leases = Leases::new(64);
    let is_leading = |hash| {
        (0..5).any(|_| {
            matches!(
                leases.seek(place(hash), 1, at(0), Some(TERMS)),
                Seek::Lead(_)
            )
        })
    };
    assert!(is_leading(0));
    // One per shard: the same remainder by 64 has no room.
    assert!(!is_leading(64));
    assert!(is_leading(1));
    assert_eq!(leases.drain().len(), 0);
    assert!(is_leading(64));
}

#[test]
fn what_the_terms_do_not_allow_is_asked_for_alone() {
    let leases = Leases::new(64);
    for _ in 0..5 {
        assert!(matches!(leases.seek(place(1), 1, at(0), None), Seek::One));
        assert!(matches!(
            leases.seek(place(1), 101, at(0), Some(TERMS)),
            Seek::One
        ));
    }
    let _ = lead(&leases, at(0));
    leases.lift(place(7));
    leases.bar(place(7), at(50));
    assert!(matches!(
        leases.seek(place(7), 1, at(49), Some(TERMS)),
        Seek::One
    ));
    assert!(matches!(
        leases.seek(place(7), 1, at(50), Some(TERMS)),
        Seek::Lead(_)
    ));
}
