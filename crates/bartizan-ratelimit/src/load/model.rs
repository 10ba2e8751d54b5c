//! Every order in which requests can come and go, tried by a model checker.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::*;

#[test]
fn never_more_are_served_than_there_are_places() {
    loom::model(|| {
        let limit = LoadLimit::builder(1).build().unwrap();
        let inside = Arc::new(AtomicUsize::new(0));
        let serve = || {
            let (limit, inside) = (limit.clone(), Arc::clone(&inside));
            move || {
                let permit = limit.enter(Priority::Critical);
                if permit.is_some() {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            }
        };
        let (first, second) = (thread::spawn(serve()), thread::spawn(serve()));
        first.join().unwrap();
        second.join().unwrap();
        // Every place was given back, and whoever was not served was counted.
        assert_eq!(limit.in_flight(), 0);
        assert!(limit.shed() <= 1);
        assert!(limit.enter(Priority::Low).is_some());
    });
}
