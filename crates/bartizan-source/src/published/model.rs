//! Every order in which a value can be replaced and read, tried by a model checker.

use loom::future::block_on;
use loom::thread;

use super::*;

fn publisher() -> Arc<Publisher<u64>> {
    Arc::new(Publisher::new(Arc::new(SystemClock)))
}

#[test]
fn whoever_subscribes_and_then_looks_misses_no_version() {
    loom::model(|| {
        let publisher = publisher();
        publisher.publish(10);
        let published = publisher.published();
        let publishing = thread::spawn(move || publisher.publish(20));
        let mut changes = published.subscribe();
        // It would wait for ever for a version that nobody told it of.
        while published.generation() < 2 {
            let told = block_on(changes.next());
            assert_eq!(
                told,
                Some(2),
                "there is one more, and the publisher goes behind it"
            );
            assert_eq!(published.generation(), 2, "what was told of is there");
        }
        assert_eq!(published.load().map(|version| *version.value()), Some(20));
        publishing.join().unwrap();
    });
}

#[test]
fn slot_generation_and_status_tell_one_story_whoever_publishes_and_confirms() {
    loom::model(|| {
        let publisher = publisher();
        let published = publisher.published();
        let publish = |value| {
            let publisher = Arc::clone(&publisher);
            thread::spawn(move || (publisher.publish(value), value))
        };
        let threads = [publish(10), publish(20)];
        publisher.confirm();
        // A generation never comes back, and means one value.
        let before = published.load();
        let after = published.load();
        let generation = |version: &Option<Arc<Version<u64>>>| {
            version.as_ref().map_or(0, |version| version.generation())
        };
        assert!(generation(&before) <= generation(&after));
        let said = threads.map(|thread| thread.join().unwrap());
        let last = published.load().unwrap();
        assert_eq!((last.generation(), published.status().generation()), (2, 2));
        for version in [before, after, Some(last)].into_iter().flatten() {
            assert!(said.contains(&(version.generation(), *version.value())));
        }
    });
}

#[test]
fn whoever_waits_for_the_first_version_gets_it_or_learns_that_there_will_be_none() {
    for publishes in [true, false] {
        loom::model(move || {
            let publisher = publisher();
            let published = publisher.published();
            let source = thread::spawn(move || {
                if publishes {
                    publisher.publish(10);
                }
                drop(publisher);
            });
            let first = block_on(published.ready());
            let expected = publishes.then_some(10);
            assert_eq!(first.map(|version| *version.value()), expected);
            source.join().unwrap();
        });
    }
}
