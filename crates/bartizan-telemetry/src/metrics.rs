//! Prometheus, through the facade `metrics`.

mod builder;
mod families;
mod recorder;

use std::fmt;
use std::sync::Arc;

use bartizan_core::{
    DecisionEvent, Event, LifecycleEvent, LifecycleKind, Observe, Peer, PeerIdentity,
};
use metrics::Recorder;

pub use self::builder::MetricsBuilder;
use self::families::Families;
pub use self::recorder::GlobalRecorder;
use crate::digits::Digits;
use crate::label::{self, NONE, OTHER};
use crate::measure::{Measure, RequestEnd, RequestEvent, RequestHead};

/// Counts what happens, in any recorder of the facade [`metrics`].
///
/// Give it to every layer, listener and source that takes an observer, and to a
/// [`MeterLayer`](crate::MeterLayer). The [table](crate#metrics) tells what it counts. A decision
/// that was seen before costs one look-up and one addition, without a lock or an allocation.
///
/// The recorder is handed in. To use the one that is installed for the whole process, say so with
/// [`GlobalRecorder`], after it is installed.
///
/// # Deployment notes
///
/// It keeps a handle for each series. An exporter that drops what has been idle
/// (`idle_timeout` of `metrics-exporter-prometheus`) would lose what is counted after that: leave
/// that off for these metrics.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe as _};
/// use bartizan_telemetry::{DURATION_BUCKETS, MetricsObserver};
/// use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
///
/// let duration = Matcher::Full("bartizan_request_duration_seconds".to_owned());
/// let recorder = PrometheusBuilder::new()
///     .set_buckets_for_metric(duration, &DURATION_BUCKETS)?
///     .build_recorder();
/// let scrape = recorder.handle();
/// let observer = MetricsObserver::builder(recorder).build();
///
/// const STARTED: Code = Code::new("example.started");
/// let event = LifecycleEvent::new("example", LifecycleKind::Started, STARTED);
/// observer.observe(&Event::Lifecycle(event));
/// let line = r#"bartizan_lifecycle_events_total{layer="example",kind="started",code="example.started"} 1"#;
/// assert!(scrape.render().contains(line));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MetricsObserver(Arc<Families>);

impl MetricsObserver {
    /// Begins an observer that counts in this recorder.
    pub fn builder<R: Recorder + Send + Sync + 'static>(recorder: R) -> MetricsBuilder {
        MetricsBuilder::new(Arc::new(recorder))
    }

    fn decided(&self, event: &DecisionEvent<'_>) {
        let families = &*self.0;
        let outcome = event.outcome().as_str();
        let code = event.code().map_or(NONE, |code| code.as_str());
        let labels = |route| {
            let mode = label::mode(event.decision().enforcement());
            let protocol = event.protocol().as_str();
            [event.layer(), outcome, mode, code, protocol, route]
        };
        let route = event.template().unwrap_or(NONE);
        match families.decisions.find(labels(route)) {
            Some(counter) => counter.increment(1),
            None => {
                let counter = families.decision(labels(families.route(route)));
                counter.increment(1);
            }
        }
        if families.tells_peers() {
            let peer = event.peer().map_or(NONE, |peer| self.peer(peer));
            let counter = families.peer_decision([peer, event.layer(), outcome]);
            counter.increment(1);
        }
    }

    /// The label of a peer: its name if that is listed. Nothing else that a certificate says
    /// becomes a label.
    fn peer(&self, peer: &Peer) -> &str {
        match peer.identity() {
            PeerIdentity::Spiffe(id) => self.0.listed(id.as_str()).unwrap_or(OTHER),
            PeerIdentity::Dns(names) => {
                let listed = names.iter().find_map(|name| self.0.listed(name));
                listed.unwrap_or(OTHER)
            }
            _ => OTHER,
        }
    }

    fn happened(&self, event: &LifecycleEvent<'_>) {
        let kind = label::kind(event.kind());
        let counter = self
            .0
            .lifecycle_event([event.layer(), kind, event.code().as_str()]);
        counter.increment(1);
        if let Some(source) = event.subject() {
            match event.kind() {
                LifecycleKind::SourceRefreshed => self.0.succeeded(event.layer(), source),
                LifecycleKind::SourceFailed => self.0.failed(event.layer(), source),
                _ => {}
            }
        }
    }

    fn begun(&self, head: RequestHead) {
        let gauge = self.0.in_flight(head.protocol().as_str());
        gauge.increment(1.0);
    }

    fn ended(&self, end: &RequestEnd<'_>) {
        let head = end.head();
        let protocol = head.protocol();
        self.0.in_flight(protocol.as_str()).decrement(1.0);
        let digits = Digits::new(match (protocol.is_grpc(), end.grpc_status()) {
            (true, Some(status)) => status,
            _ => end.status().unwrap_or_default(),
        });
        let status = match (end.status(), protocol.is_grpc(), end.grpc_status()) {
            (None, ..) => "abandoned",
            (Some(_), true, None) => "in_trailers",
            (Some(_), true, Some(17..)) => OTHER,
            _ => digits.as_str(),
        };
        let labels = |route| [protocol.as_str(), head.method(), route, status];
        let route = end.template().unwrap_or(NONE);
        let seconds = end.duration().as_secs_f64();
        match self.0.durations.find(labels(route)) {
            Some(histogram) => histogram.record(seconds),
            None => {
                let histogram = self.0.duration(labels(self.0.route(route)));
                histogram.record(seconds);
            }
        }
    }
}

impl Observe for MetricsObserver {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Decision(event) => self.decided(event),
            Event::Lifecycle(event) => self.happened(event),
            _ => {}
        }
    }
}

impl Measure for MetricsObserver {
    fn measure(&self, event: &RequestEvent<'_>) {
        match event {
            RequestEvent::Begun(head) => self.begun(*head),
            RequestEvent::Ended(end) => self.ended(end),
        }
    }
}

impl fmt::Debug for MetricsObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsObserver").finish_non_exhaustive()
    }
}
