//! OpenTelemetry, by its API alone.

mod attributes;

use std::fmt;
use std::sync::Arc;

use bartizan_core::{DecisionEvent, Enforcement, Event, LifecycleEvent, Observe, Outcome};
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use self::attributes::Attributes;
use crate::label::{self, NONE};
use crate::limits::Limits;
use crate::measure::{Measure, RequestEnd, RequestEvent, RequestHead};

/// Tells OpenTelemetry what happens: counters and durations through a [`Meter`], and refusals as
/// events of the current span.
///
/// Names are those of the semantic conventions where they have some.
///
/// | instrument | kind | attributes |
/// |---|---|---|
/// | `bartizan.decisions` | counter | `bartizan.layer`, `.outcome`, `.mode`, `.code`, `.protocol`, `http.route` |
/// | `bartizan.lifecycle.events` | counter | `bartizan.layer`, `.kind`, `.code` |
/// | `http.server.request.duration` | histogram, seconds | `http.request.method`, `url.scheme`, `http.route`, `http.response.status_code`, `error.type` |
/// | `http.server.active_requests` | up-down counter | `http.request.method`, `url.scheme` |
///
/// The last two need a [`MeterLayer`](crate::MeterLayer). Attribute values are bounded by
/// [`Limits`], whatever the SDK does about it.
///
/// On the span that is current when a layer decides ([`SpanLayer`](crate::SpanLayer) makes one, as
/// does `tracing-opentelemetry`): `http.route`, and for each decision that is no plain "allowed"
/// the event `bartizan.decision` with layer, outcome, mode, code and what the layer noted. A
/// refusal sets `error.type` to its code; one that is the service's own fault sets the span's
/// status. Who called is not told: that is what the audit log is for.
#[derive(Clone)]
pub struct OtelObserver(Arc<Inner>);

struct Inner {
    decisions: Counter<u64>,
    lifecycle_events: Counter<u64>,
    durations: Histogram<f64>,
    active: UpDownCounter<i64>,
    attributes: Attributes,
}

/// The buckets that the semantic conventions give for durations of requests, in seconds.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

impl OtelObserver {
    /// Counts with instruments of this meter, within the default [`Limits`].
    pub fn new(meter: &Meter) -> Self {
        Self::with_limits(meter, Limits::new())
    }

    /// Counts with instruments of this meter, within these limits.
    pub fn with_limits(meter: &Meter, limits: Limits) -> Self {
        let decisions = meter
            .u64_counter("bartizan.decisions")
            .with_unit("{decision}")
            .with_description("Decisions of layers about requests.");
        let lifecycle_events = meter
            .u64_counter("bartizan.lifecycle.events")
            .with_unit("{event}")
            .with_description("Events outside any request.");
        let durations = meter
            .f64_histogram("http.server.request.duration")
            .with_unit("s")
            .with_description("Duration of HTTP server requests.")
            .with_boundaries(BUCKETS.to_vec());
        let active = meter
            .i64_up_down_counter("http.server.active_requests")
            .with_unit("{request}")
            .with_description("Number of active HTTP server requests.");
        Self(Arc::new(Inner {
            decisions: decisions.build(),
            lifecycle_events: lifecycle_events.build(),
            durations: durations.build(),
            active: active.build(),
            attributes: Attributes::new(limits),
        }))
    }

    fn decided(&self, event: &DecisionEvent<'_>) {
        let attributes = self.0.attributes.decision([
            event.layer(),
            event.outcome().as_str(),
            label::mode(event.decision().enforcement()),
            event.code().map_or(NONE, |code| code.as_str()),
            event.protocol().as_str(),
            event.template().unwrap_or(NONE),
        ]);
        self.0.decisions.add(1, attributes);
        Context::map_current(|context| {
            if context.has_active_span() && context.span().is_recording() {
                annotate(context, event);
            }
        });
    }

    fn happened(&self, event: &LifecycleEvent<'_>) {
        let kind = label::kind(event.kind());
        let attributes = self
            .0
            .attributes
            .lifecycle([event.layer(), kind, event.code().as_str()]);
        self.0.lifecycle_events.add(1, attributes);
    }

    fn begun(&self, head: RequestHead) {
        self.0.active.add(1, self.0.attributes.head(head));
    }

    fn ended(&self, end: &RequestEnd<'_>) {
        self.0.active.add(-1, self.0.attributes.head(end.head()));
        let attributes = self.0.attributes.end(end);
        self.0
            .durations
            .record(end.duration().as_secs_f64(), attributes);
    }
}

/// Writes a decision onto the span of its request.
fn annotate(context: &Context, event: &DecisionEvent<'_>) {
    let span = context.span();
    if let Some(template) = event.template() {
        span.set_attribute(KeyValue::new("http.route", template.to_owned()));
    }
    let decision = event.decision();
    if decision.outcome() == Outcome::Allowed {
        return;
    }
    let mut attributes = vec![
        KeyValue::new("bartizan.layer", decision.layer()),
        KeyValue::new("bartizan.outcome", decision.outcome().as_str()),
        KeyValue::new("bartizan.mode", label::mode(decision.enforcement())),
    ];
    if let Some(code) = decision.code() {
        attributes.push(KeyValue::new("bartizan.code", code.as_str()));
    }
    if let Some(detail) = decision.detail() {
        attributes.push(KeyValue::new("bartizan.detail", detail.to_owned()));
    }
    span.add_event("bartizan.decision", attributes);
    let is_refused = decision.enforcement() == Enforcement::Enforce;
    if let Some(code) = decision.code().filter(|_| is_refused) {
        span.set_attribute(KeyValue::new("error.type", code.as_str()));
        if decision.outcome() == Outcome::CouldNotDecide {
            span.set_status(Status::error(code.as_str()));
        }
    }
}

impl Observe for OtelObserver {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Decision(event) => self.decided(event),
            Event::Lifecycle(event) => self.happened(event),
            _ => {}
        }
    }
}

impl Measure for OtelObserver {
    fn measure(&self, event: &RequestEvent<'_>) {
        match event {
            RequestEvent::Begun(head) => self.begun(*head),
            RequestEvent::Ended(end) => self.ended(end),
        }
    }
}

impl fmt::Debug for OtelObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelObserver").finish_non_exhaustive()
    }
}
