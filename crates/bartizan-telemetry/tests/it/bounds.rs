//! No flood makes the metrics grow beyond their limits, and nothing is lost by that.

use bartizan_core::{
    Code, Enforcement, Event, LifecycleEvent, LifecycleKind, Observe as _, RouteTable,
};
use bartizan_core::{Entrance, GuardLayer};
use bartizan_telemetry::{Limits, MetricsObserver};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::decisions::{get, send};
use crate::scrape::{Picky, recorded};

const DECISIONS: &str = "bartizan_decisions_total";
const FOLDED: &str = "bartizan_telemetry_folded_total";

/// Both events of so many sources.
pub(crate) fn tell_sources(observer: &MetricsObserver, sources: usize) {
    const CODE: Code = Code::new("example.source");
    for source in 0..sources {
        for kind in [LifecycleKind::SourceFailed, LifecycleKind::SourceRefreshed] {
            let name = format!("source{source}");
            let event = LifecycleEvent::new("source", kind, CODE).with_subject(&name);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

#[tokio::test]
async fn paths_and_addresses_of_clients_make_no_series() {
    let (builder, scrape) = recorded();
    let observer = builder.build();
    let paths = (0..5_000).map(|number| get(&format!("/a/{number}")));
    send(&observer, Enforcement::Enforce, paths).await;
    let unknown = (0..5_000).map(|number| get(&format!("/x/{number}/y")));
    send(&observer, Enforcement::Enforce, unknown).await;
    assert_eq!(scrape.series(DECISIONS), 2);
    assert!((scrape.value(DECISIONS, &[]) - 10_000.0).abs() < 0.5);
}

#[tokio::test]
async fn routes_beyond_their_limit_are_other() {
    let (builder, scrape) = recorded();
    let observer = builder.with_limits(Limits::new().with_routes(10)).build();
    let templates: Vec<String> = (0..500).map(|it| format!("/r{it}/{{id}}")).collect();
    let entrance = Entrance::new().with_routes(RouteTable::new(&templates).unwrap());
    let layer = GuardLayer::new(Picky::new(observer, Enforcement::Enforce));
    let service =
        layer
            .with_entrance(entrance)
            .layer(service_fn(async |_: Request<Full<Bytes>>| {
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::new())))
            }));
    for _ in 0..2 {
        for number in 0..500 {
            let request = get(&format!("/r{number}/7"));
            drop(service.clone().oneshot(request).await.unwrap());
        }
    }
    assert_eq!(scrape.series(DECISIONS), 11);
    assert!((scrape.value(DECISIONS, &[]) - 1_000.0).abs() < 0.5);
    assert!((scrape.value(DECISIONS, &[("route", "other")]) - 980.0).abs() < 0.5);
    assert!((scrape.value(FOLDED, &[("label", "route")]) - 980.0).abs() < 0.5);
}

#[test]
fn codes_and_layers_beyond_the_limit_are_other() {
    let (builder, scrape) = recorded();
    let observer = builder.with_limits(Limits::new().with_series(20)).build();
    for number in 0..10_000 {
        // A program that makes up names as it runs.
        let code: &'static str = format!("made.up{number}").leak();
        let layer: &'static str = format!("layer{number}").leak();
        let kind = LifecycleKind::SourceFailed;
        let event = LifecycleEvent::new(layer, kind, Code::new(code));
        observer.observe(&Event::Lifecycle(event));
    }
    let name = "bartizan_lifecycle_events_total";
    assert_eq!(scrape.series(name), 21);
    assert!((scrape.value(name, &[]) - 10_000.0).abs() < 0.5);
    let folded = [
        ("layer", "other"),
        ("code", "other"),
        ("kind", "source_failed"),
    ];
    assert!((scrape.value(name, &folded) - 9_980.0).abs() < 0.5);
    assert!((scrape.value(FOLDED, &[("label", "series")]) - 9_980.0).abs() < 0.5);
}

#[test]
fn sources_beyond_their_limit_have_no_times() {
    let (builder, scrape) = recorded();
    let observer = builder.with_limits(Limits::new().with_sources(5)).build();
    tell_sources(&observer, 1_000);
    for name in [
        "bartizan_source_last_success_timestamp_seconds",
        "bartizan_source_last_failure_timestamp_seconds",
    ] {
        assert_eq!(scrape.series(name), 5);
    }
    assert!((scrape.value(FOLDED, &[("label", "source")]) - 1_990.0).abs() < 0.5);
}

#[test]
fn limits_of_zero_count_all_the_same() {
    let (builder, scrape) = recorded();
    let limits = Limits::new().with_series(0).with_routes(0).with_sources(0);
    let observer = builder.with_limits(limits).build();
    tell_sources(&observer, 10);
    let counted = scrape.value("bartizan_lifecycle_events_total", &[("layer", "other")]);
    assert!((counted - 20.0).abs() < 0.5, "{}", scrape.text());
}
