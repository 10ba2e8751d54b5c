//! What happens outside any request.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{
    Clock as _, Code, Event, LifecycleEvent, LifecycleKind, Observe as _, WallTime,
};
use bartizan_telemetry::METRICS;
use bartizan_testkit::ManualClock;

use crate::scrape::recorded;

const CODE: Code = Code::new("example.happened");

#[test]
fn every_kind_is_counted_under_its_name() {
    let (builder, scrape) = recorded();
    let observer = builder.build();
    for (kind, name) in [
        (LifecycleKind::ConnectionEnded, "connection_ended"),
        (LifecycleKind::HandshakeCompleted, "handshake_completed"),
        (LifecycleKind::HandshakeFailed, "handshake_failed"),
        (LifecycleKind::KeyChanged, "key_changed"),
        (LifecycleKind::KeyLeaked, "key_leaked"),
        (LifecycleKind::PolicyChanged, "policy_changed"),
        (LifecycleKind::SourceFailed, "source_failed"),
        (LifecycleKind::SourceRefreshed, "source_refreshed"),
        (LifecycleKind::Started, "started"),
        (LifecycleKind::Stopped, "stopped"),
        (LifecycleKind::SubjectForgotten, "subject_forgotten"),
    ] {
        observer.observe(&Event::Lifecycle(LifecycleEvent::new(
            "example", kind, CODE,
        )));
        let labels = [
            ("layer", "example"),
            ("kind", name),
            ("code", CODE.as_str()),
        ];
        let counted = scrape.value("bartizan_lifecycle_events_total", &labels);
        assert!((counted - 1.0).abs() < 0.5, "{name}: {counted}");
    }
}

#[test]
fn a_source_has_the_times_of_its_last_success_and_failure() {
    let (builder, scrape) = recorded();
    let clock = Arc::new(ManualClock::at(WallTime::from_unix_seconds(1_000)));
    let observer = builder.with_clock(clock.clone()).build();
    let tell = |kind| {
        let event = LifecycleEvent::new("source", kind, CODE).with_subject("policy");
        observer.observe(&Event::Lifecycle(event));
    };
    tell(LifecycleKind::SourceFailed);
    clock.advance(Duration::from_secs(60));
    tell(LifecycleKind::SourceRefreshed);
    assert_eq!(clock.wall().unix_seconds(), 1_060);
    let labels = [("layer", "source"), ("source", "policy")];
    let at = |name| scrape.value(name, &labels);
    let failure = at("bartizan_source_last_failure_timestamp_seconds");
    let success = at("bartizan_source_last_success_timestamp_seconds");
    assert!((failure - 1_000.0).abs() < 0.001, "{failure}");
    assert!((success - 1_060.0).abs() < 0.001, "{success}");
}

#[test]
fn every_metric_is_described_to_the_recorder() {
    let (builder, scrape) = recorded();
    let observer = builder.build();
    let event = LifecycleEvent::new("example", LifecycleKind::Started, CODE);
    observer.observe(&Event::Lifecycle(event));
    let text = scrape.text();
    let help = METRICS
        .iter()
        .find(|metric| metric.name == "bartizan_lifecycle_events_total")
        .unwrap()
        .help;
    assert!(
        text.contains(&format!("# HELP bartizan_lifecycle_events_total {help}")),
        "{text}"
    );
    assert!(
        text.contains("# TYPE bartizan_lifecycle_events_total counter"),
        "{text}"
    );
}
