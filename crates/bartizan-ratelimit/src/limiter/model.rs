//! Every order in which requests of one key can race for its last cells, tried by a model checker.

use loom::thread;

use super::*;

#[test]
fn the_last_cell_of_several_policies_is_given_out_once_at_most() {
    loom::model(|| {
        let limiter = Limiter::builder()
            .add_policy(Policy::new("first", Rate::per_day(2)).with_keys(1))
            .add_policy(Policy::new("second", Rate::per_day(1)).with_keys(1))
            .build()
            .unwrap();
        let check = || {
            let limiter = limiter.clone();
            move || limiter.check("alice").is_allowed()
        };
        let threads = [thread::spawn(check()), thread::spawn(check())];
        let admitted = threads.map(|it| it.join().unwrap());
        // Exactly one here: the second policy has one cell, and gives it to whoever asks first.
        assert_eq!(admitted.iter().filter(|it| **it).count(), 1);
        assert!(!limiter.check("alice").is_allowed());
    });
}
