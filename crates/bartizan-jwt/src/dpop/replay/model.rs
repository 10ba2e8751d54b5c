//! Every order in which one proof can come twice, tried by a model checker.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::testing::now;

#[test]
fn of_two_requests_with_one_proof_one_passes() {
    let proof = ProofId::new([1; 32], "a", now() + std::time::Duration::from_secs(66));
    loom::model(move || {
        let store = Arc::new(MemoryReplayStore::new(1));
        let record = || {
            let store = Arc::clone(&store);
            thread::spawn(move || match store.record(&proof, now()) {
                ReplayAnswer::Now(replay) => replay,
                ReplayAnswer::Later(_) => Replay::Unknown,
            })
        };
        let answers = [record(), record()].map(|thread| thread.join().unwrap());
        let fresh = answers.iter().filter(|it| **it == Replay::Fresh).count();
        let replayed = answers.iter().filter(|it| **it == Replay::Replayed).count();
        assert_eq!((fresh, replayed), (1, 1));
    });
}
