//! The recorder of the whole process.

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe as _};
use bartizan_telemetry::{GlobalRecorder, METRICS, MetricsObserver};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::bounds::tell_sources;

#[test]
fn who_asks_for_the_recorder_of_the_process_is_counted_there() {
    let counted = |observer: &MetricsObserver| {
        tell_sources(observer, 3);
        let code = Code::new("example.started");
        let event = LifecycleEvent::new("example", LifecycleKind::Started, code);
        observer.observe(&Event::Lifecycle(event));
    };
    let recorder = PrometheusBuilder::new().build_recorder();
    // As if it were installed: for this thread alone, since tests share a process.
    let observer = metrics::with_local_recorder(&recorder, || {
        let observer = MetricsObserver::builder(GlobalRecorder).build();
        counted(&observer);
        observer
    });
    let text = recorder.handle().render();
    for expected in [
        "layer=\"source\",kind=\"source_failed\",code=\"example.source\"} 3",
        "layer=\"example\",kind=\"started\",code=\"example.started\"} 1",
        "bartizan_source_last_success_timestamp_seconds{layer=\"source\",source=\"source2\"} ",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    for metric in METRICS {
        let kind = format!("# TYPE {} {}", metric.name, metric.kind.as_str());
        let is_shown = text.contains(&format!("{metric_name}{{", metric_name = metric.name));
        assert_eq!(text.contains(&kind), is_shown, "{metric}: {text}");
    }
    // What is registered is counted where it was registered, whoever is installed later.
    counted(&observer);
    let text = recorder.handle().render();
    assert!(text.contains("code=\"example.started\"} 2"), "{text}");
}

#[test]
fn what_is_registered_before_there_is_a_recorder_is_counted_nowhere() {
    let observer = MetricsObserver::builder(GlobalRecorder).build();
    tell_sources(&observer, 1);
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || tell_sources(&observer, 1));
    assert_eq!(recorder.handle().render(), "");
}

#[test]
fn a_metric_is_shown_with_its_labels() {
    let shown = METRICS.map(|metric| metric.to_string());
    assert_eq!(
        shown[1],
        "bartizan_peer_decisions_total{peer, layer, outcome}"
    );
    assert_eq!(shown[7], "bartizan_telemetry_folded_total{label}");
}
