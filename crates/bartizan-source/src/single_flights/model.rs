//! Every order in which callers and runs can meet, tried by a model checker.

use std::sync::atomic::{AtomicU32, Ordering};

use loom::future::block_on;
use loom::thread;

use super::*;

#[test]
fn whoever_has_a_result_finds_a_place_free_and_never_a_run_that_is_over() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let flights = SingleFlights::<String, u32>::new(NonZeroUsize::MIN);
        // Counting is no step of the model.
        let starts = Arc::new(AtomicU32::new(0));
        let call = |flights: &SingleFlights<_, _>, starts: &Arc<AtomicU32>| {
            let starts = Arc::clone(starts);
            let run = async move |_| starts.fetch_add(1, Ordering::Relaxed) + 1;
            block_on(flights.run("a", run))
        };
        let other = {
            let (flights, starts) = (flights.clone(), Arc::clone(&starts));
            thread::spawn(move || call(&flights, &starts))
        };
        // Both want the same, so that one place does for both.
        let first = call(&flights, &starts).unwrap();
        let second = call(&flights, &starts).unwrap();
        assert!(first < second, "{first} was over when it was asked again");
        assert!(other.join().unwrap().is_ok());
        assert_eq!(flights.under_way(), 0);
    });
}
