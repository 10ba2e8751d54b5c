//! Every order in which callers and a run can meet, tried by a model checker.

use std::sync::atomic::{AtomicU32, Ordering};

use loom::future::block_on;
use loom::thread;

use super::*;

/// Numbers what is run. That it counts is no step of the model.
#[derive(Default)]
struct Runs {
    starts: AtomicU32,
    under_way: Mutex<()>,
}

impl Runs {
    async fn run(self: Arc<Self>) -> u32 {
        let _alone = self.under_way.try_lock().expect("one at a time");
        self.starts.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[test]
fn callers_share_a_run_and_whoever_comes_after_its_result_gets_another() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let (flight, runs) = (SingleFlight::new(), Arc::new(Runs::default()));
        let call = |flight: &SingleFlight<u32>, runs: &Arc<Runs>| {
            let runs = Arc::clone(runs);
            block_on(flight.run(|| runs.run())).unwrap()
        };
        let other = {
            let (flight, runs) = (flight.clone(), Arc::clone(&runs));
            thread::spawn(move || call(&flight, &runs))
        };
        let first = call(&flight, &runs);
        let second = call(&flight, &runs);
        assert!(first < second, "{first} was over when it was asked again");
        let other = other.join().unwrap();
        assert!((1..=3).contains(&other));
    });
}
