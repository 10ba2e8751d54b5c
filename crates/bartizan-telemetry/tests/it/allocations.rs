//! What a decision costs that was seen before.

use std::sync::{Arc, Mutex};

use bartizan_core::{
    Code, Decision, Duty, Event, Inspection, LifecycleEvent, LifecycleKind, Observe, Outcome,
    SecurityContext, observe_fn,
};
use http::Request;

use crate::scrape::{DENIED, recorded};

#[test]
fn a_decision_that_was_seen_before_does_not_allocate() {
    let (builder, scrape) = recorded();
    let observer = builder.allow_peer_label("spiffe://example.org/a").build();
    let measured = Arc::new(Mutex::new(Vec::new()));
    let counts = Arc::clone(&measured);
    let metered = observe_fn(move |event: &Event<'_>| {
        let count = allocation_counter::measure(|| observer.observe(event)).count_total;
        counts.lock().unwrap().push(count);
    });
    let duty = Duty::new("example").with_observer(Arc::new(metered));
    let (mut parts, ()) = Request::new(()).into_parts();
    let context = SecurityContext::new(parts.uri.clone());
    let inspection = Inspection::new(&mut parts, &context);
    for _ in 0..3 {
        duty.record(&inspection, Decision::new("example", Outcome::Allowed));
        let denied = Decision::new("example", Outcome::Denied).with_code(DENIED);
        duty.record(&inspection, denied);
    }
    let measured = measured.lock().unwrap();
    let (first, later) = measured.split_at(2);
    assert!(
        first.iter().all(|count| *count > 0),
        "the counter counts: {first:?}"
    );
    assert_eq!(later, [0; 4]);
    assert!((scrape.value("bartizan_decisions_total", &[]) - 6.0).abs() < 0.5);
}

#[test]
fn an_event_that_was_seen_before_does_not_allocate() {
    const CODE: Code = Code::new("example.again");
    let (builder, _scrape) = recorded();
    let observer = builder.build();
    let event = LifecycleEvent::new("example", LifecycleKind::SourceFailed, CODE);
    let event = Event::Lifecycle(event.with_subject("policy"));
    observer.observe(&event);
    let measured = allocation_counter::measure(|| observer.observe(&event));
    assert_eq!(measured.count_total, 0);
}
