//! Every order in which threads can meet at a table, tried by a model checker.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::rate::Rate;

fn gcra(rate: Rate) -> Gcra {
    Gcra::new(rate).unwrap()
}

/// A hash whose line is always the same: there is one, and one overflow line.
fn hash(key: u64) -> u64 {
    (key + 1) << 32
}

/// What two threads, and this one, get together.
fn together<T: Send + 'static>(acts: [impl FnOnce() -> T + Send + 'static; 2]) -> [T; 2] {
    acts.map(thread::spawn).map(|it| it.join().unwrap())
}

#[test]
fn the_last_cell_is_given_out_once() {
    loom::model(|| {
        let table = Arc::new(Table::new(1, None));
        let charge = || {
            let table = Arc::clone(&table);
            move || {
                table
                    .charge(hash(0), Ticks::ZERO, &gcra(Rate::per_hour(1)), 1)
                    .is_ok()
            }
        };
        let admitted = together([charge(), charge()]);
        assert_eq!(admitted.iter().filter(|it| **it).count(), 1);
    });
}

#[test]
fn a_refund_and_a_charge_never_make_a_cell() {
    loom::model(|| {
        let gcra = gcra(Rate::per_hour(2));
        let table = Arc::new(Table::new(1, None));
        let receipt = table.charge(hash(0), Ticks::ZERO, &gcra, 1).unwrap();
        let refunding = Arc::clone(&table);
        let refunding =
            thread::spawn(move || refunding.refund(hash(0), Ticks::ZERO, &gcra, 1, receipt));
        let charging = Arc::clone(&table);
        let charging = thread::spawn(move || {
            let charge = || charging.charge(hash(0), Ticks::ZERO, &gcra, 1).is_ok();
            u64::from(charge()) + u64::from(charge())
        });
        refunding.join().unwrap();
        let spent = charging.join().unwrap();
        // One of two was given back: what is spent and what is left are two together.
        let due = table.due(hash(0), Ticks::ZERO);
        assert_eq!(spent + gcra.remaining(due, Ticks::ZERO), 2);
    });
}

#[test]
fn threads_that_fight_over_a_full_line_lose_no_offender() {
    loom::model(|| {
        let gcra = gcra(Rate::per_hour(3));
        let table = Arc::new(Table::new(1, None));
        // Everything is taken, by an offender and by those who have spent a little.
        for key in 0..14 {
            let cost = if key == 13 { 3 } else { 1 };
            assert!(table.charge(hash(key), Ticks::ZERO, &gcra, cost).is_ok());
        }
        let act = |key, admitted| {
            let table = Arc::clone(&table);
            move || {
                let charge = table.charge(hash(key), Ticks::ZERO, &gcra, 1);
                assert_eq!(charge.is_ok(), admitted, "{key}");
            }
        };
        let newcomer = thread::spawn(act(20, true));
        let offender = thread::spawn(act(13, false));
        newcomer.join().unwrap();
        offender.join().unwrap();
        assert_eq!(table.evicted(), 1);
        assert!(table.charge(hash(13), Ticks::ZERO, &gcra, 1).is_err());
        assert!(table.charge(hash(20), Ticks::ZERO, &gcra, 3).is_err());
    });
}

#[test]
fn newcomers_are_taken_in_at_their_pace() {
    loom::model(|| {
        let newcomers = Arc::new(Newcomers::new(gcra(Rate::per_hour(2))));
        assert!(newcomers.admit(Ticks::ZERO).is_ok());
        let admit = || {
            let newcomers = Arc::clone(&newcomers);
            move || newcomers.admit(Ticks::ZERO).is_ok()
        };
        let admitted = together([admit(), admit()]);
        assert_eq!(admitted.iter().filter(|it| **it).count(), 1);
    });
}
