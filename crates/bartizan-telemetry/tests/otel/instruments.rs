//! Counters and durations.

use std::sync::Arc;

use bartizan_core::{
    Code, Decision, Duty, Event, Inspection, LifecycleEvent, LifecycleKind, Observe as _, Outcome,
    SecurityContext,
};
use bartizan_telemetry::{Limits, MeterLayer, OtelObserver};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tower::{Layer as _, ServiceExt as _, service_fn};

const DENIED: Code = Code::new("example.denied");

/// An SDK that keeps what it is told.
struct Sdk {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

/// One series: its attributes, and the value or count.
type Point = (Vec<KeyValue>, i64);

impl Sdk {
    fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        Self { provider, exporter }
    }

    fn meter(&self) -> Meter {
        self.provider.meter("test")
    }

    /// The series of an instrument.
    fn points(&self, name: &str) -> Vec<Point> {
        self.provider.force_flush().unwrap();
        let exported = self.exporter.get_finished_metrics().unwrap();
        let mut points = Vec::new();
        for metric in exported
            .last()
            .unwrap()
            .scope_metrics()
            .flat_map(|scope| scope.metrics())
            .filter(|metric| metric.name() == name)
        {
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    points.extend(sum.data_points().map(|point| {
                        let attributes = point.attributes().cloned().collect();
                        (attributes, i64::try_from(point.value()).unwrap())
                    }));
                }
                AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                    points.extend(
                        sum.data_points()
                            .map(|point| (point.attributes().cloned().collect(), point.value())),
                    );
                }
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    points.extend(histogram.data_points().map(|point| {
                        let attributes = point.attributes().cloned().collect();
                        (attributes, i64::try_from(point.count()).unwrap())
                    }));
                }
                other => panic!("{name} is {other:?}"),
            }
        }
        points
    }
}

fn has(point: &Point, key: &'static str, value: &str) -> bool {
    let (attributes, _) = point;
    attributes
        .iter()
        .any(|it| it.key.as_str() == key && it.value.as_str() == value)
}

fn decide(observer: OtelObserver, decision: Decision) {
    let duty = Duty::new("example").with_observer(Arc::new(observer));
    let (mut parts, ()) = Request::new(()).into_parts();
    let context = SecurityContext::new(parts.uri.clone());
    let inspection = Inspection::new(&mut parts, &context);
    duty.record(&inspection, decision);
}

#[test]
fn decisions_are_counted_with_their_attributes() {
    let sdk = Sdk::new();
    let observer = OtelObserver::new(&sdk.meter());
    for _ in 0..3 {
        let denied = Decision::new("example", Outcome::Denied).with_code(DENIED);
        decide(observer.clone(), denied);
    }
    decide(observer, Decision::new("example", Outcome::Allowed));
    let points = sdk.points("bartizan.decisions");
    assert_eq!(points.len(), 2);
    let denied = points
        .iter()
        .find(|it| has(it, "bartizan.outcome", "denied"));
    let denied = denied.unwrap();
    assert_eq!(denied.1, 3);
    assert!(has(denied, "bartizan.layer", "example"));
    assert!(has(denied, "bartizan.code", "example.denied"));
    assert!(has(denied, "bartizan.mode", "enforce"));
    assert!(has(denied, "bartizan.protocol", "http"));
}

#[test]
fn events_are_counted_and_a_flood_of_codes_is_bounded() {
    let sdk = Sdk::new();
    let limits = Limits::new().with_series(20);
    let observer = OtelObserver::with_limits(&sdk.meter(), limits);
    for number in 0..1_000 {
        let code = Code::new(format!("made.up{number}").leak());
        let event = LifecycleEvent::new("example", LifecycleKind::KeyChanged, code);
        observer.observe(&Event::Lifecycle(event));
    }
    let points = sdk.points("bartizan.lifecycle.events");
    assert_eq!(points.len(), 21);
    assert_eq!(points.iter().map(|(_, count)| count).sum::<i64>(), 1_000);
    let folded = points.iter().find(|it| has(it, "bartizan.code", "other"));
    assert_eq!(folded.unwrap().1, 980);
}

#[tokio::test]
async fn requests_are_measured_by_the_semantic_conventions() {
    let sdk = Sdk::new();
    let observer = Arc::new(OtelObserver::new(&sdk.meter()));
    let layer = MeterLayer::new(observer);
    let service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        Ok::<_, std::convert::Infallible>(response)
    }));
    let request = Request::get("https://service.example/").body(Full::new(Bytes::new()));
    let response = service.oneshot(request.unwrap()).await.unwrap();
    let active = sdk.points("http.server.active_requests");
    assert_eq!(active.iter().map(|(_, value)| value).sum::<i64>(), 1);
    drop(response);
    let active = sdk.points("http.server.active_requests");
    assert_eq!(active.iter().map(|(_, value)| value).sum::<i64>(), 0);
    let durations = sdk.points("http.server.request.duration");
    assert_eq!(durations.len(), 1);
    let (attributes, count) = durations.first().unwrap();
    assert_eq!(*count, 1);
    for expected in [
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("url.scheme", "https"),
        KeyValue::new("http.response.status_code", 502),
        KeyValue::new("error.type", "502"),
    ] {
        assert!(
            attributes.contains(&expected),
            "{expected:?} is in {attributes:?}"
        );
    }
    assert!(!attributes.iter().any(|it| it.key.as_str() == "http.route"));
}
