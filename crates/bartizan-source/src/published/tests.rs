use super::*;

fn publisher<T>() -> Publisher<T> {
    Publisher::new(Arc::new(SystemClock))
}

#[test]
fn is_empty_until_the_first_publication() {
    let publisher = publisher::<u32>();
    let published = publisher.published();
    assert!(published.load().is_none());
    assert_eq!(published.generation(), 0);
    assert_eq!(published.status().last_success(), None);

    assert_eq!(publisher.publish(7), 1);
    assert_eq!(published.load().map(|version| *version.value()), Some(7));
    assert!(published.status().last_success().is_some());
}

#[test]
fn a_reader_keeps_the_version_that_it_holds() {
    let publisher = publisher();
    publisher.publish("old");
    let held = publisher.published().load().expect("published above");
    assert_eq!(publisher.publish("new"), 2);
    assert_eq!((*held.value(), held.generation()), ("old", 1));
    assert_eq!(
        publisher.published().read(|v| v.map(|v| *v.value())),
        Some("new")
    );
}

#[test]
fn a_failure_leaves_the_last_good_value_and_is_counted() {
    let publisher = publisher();
    publisher.publish(1);
    publisher.fail("no such file");
    publisher.fail("no such file, again");
    let published = publisher.published();
    assert_eq!(published.load().map(|version| *version.value()), Some(1));
    let status = published.status();
    assert_eq!(
        (status.consecutive_failures(), status.total_failures()),
        (2, 2)
    );
    assert_eq!(
        status.last_failure().map(|f| f.message()),
        Some("no such file, again")
    );

    publisher.confirm();
    let status = published.status();
    assert_eq!(
        (status.consecutive_failures(), status.total_failures()),
        (0, 2)
    );
    assert_eq!(status.generation(), 1);
}

#[tokio::test]
async fn a_subscription_tells_of_newer_versions_only() {
    let publisher = publisher();
    publisher.publish(1);
    let mut changes = publisher.published().subscribe();
    publisher.confirm();
    publisher.publish(2);
    publisher.publish(3);
    assert_eq!(
        changes.next().await,
        Some(3),
        "two changes told as one, confirmation not told"
    );
    drop(publisher);
    assert_eq!(changes.next().await, None);
}

#[tokio::test]
async fn ready_waits_for_the_first_version_and_gives_up_with_the_publisher() {
    let publisher = publisher();
    let published = publisher.published();
    let waiting = tokio::spawn(async move { published.ready().await.map(|v| *v.value()) });
    tokio::task::yield_now().await;
    publisher.publish(5);
    assert_eq!(waiting.await.expect("no panic"), Some(5));
    assert_eq!(
        Published::fixed(6).ready().await.map(|v| *v.value()),
        Some(6)
    );

    let empty = Publisher::<u8>::new(Arc::new(SystemClock)).published();
    assert!(empty.ready().await.is_none());
}

#[test]
fn debug_does_not_print_the_value() {
    let published = Published::fixed("hunter2".to_owned());
    let version = published.load().expect("fixed");
    assert!(!format!("{published:?} {version:?}").contains("hunter2"));
}

#[test]
fn concurrent_publishers_leave_slot_and_generation_in_step() {
    let publisher = publisher();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let publisher = &publisher;
            scope.spawn(move || {
                for _ in 0..100 {
                    publisher.publish(thread);
                }
            });
        }
    });
    assert_eq!(publisher.published().generation(), 400);
    assert_eq!(publisher.published().status().generation(), 400);
}
