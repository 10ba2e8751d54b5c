//! What Bartizan's layers decide and do, as Prometheus metrics, OpenTelemetry signals and
//! `tracing` events.
//!
//! Every layer, listener and source of the family tells an
//! [`Observe`](bartizan_core::Observe)r what happens. This crate has the observers that most
//! services want: [`MetricsObserver`] for Prometheus, `OtelObserver` for OpenTelemetry,
//! `TracingObserver` for logs, and [`FanOut`] for several at once. [`MeterLayer`] adds what no
//! single layer knows: how long requests take and how they are answered.
//!
//! # Quick start
//!
#![cfg_attr(feature = "metrics", doc = "```")]
#![cfg_attr(not(feature = "metrics"), doc = "```ignore")]
//! use std::sync::Arc;
//!
//! use bartizan_core::{
//!     Check, Code, Duty, Guard, GuardLayer, Inspection, Never, Rejection, RejectionKind,
//! };
//! use bartizan_telemetry::{DURATION_BUCKETS, MeterLayer, MetricsObserver};
//! use http::{Request, Response};
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//! use tower::{Layer as _, ServiceExt as _, service_fn};
//!
//! /// Any layer of the family; this one lets nobody pass.
//! #[derive(Clone, Debug)]
//! struct Closed(Duty);
//!
//! const CLOSED: Code = Code::new("example.closed");
//!
//! impl Guard for Closed {
//!     type Pass = ();
//!     type Inquiry = Never;
//!     fn duty(&self) -> Option<&Duty> {
//!         Some(&self.0)
//!     }
//!     fn check(&self, _: &mut Inspection<'_>) -> Check<(), Never> {
//!         Check::Now(Err(Rejection::new(RejectionKind::Forbidden, CLOSED)))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let duration = Matcher::Full("bartizan_request_duration_seconds".to_owned());
//! let recorder = PrometheusBuilder::new()
//!     .set_buckets_for_metric(duration, &DURATION_BUCKETS)?
//!     .build_recorder();
//! let scrape = recorder.handle(); // its text is what `/metrics` answers
//!
//! let observer = Arc::new(MetricsObserver::builder(recorder).build());
//! let closed = GuardLayer::new(Closed(Duty::new("example").with_observer(observer.clone())));
//! let meter = MeterLayer::new(observer);
//!
//! let service = service_fn(async |_: Request<String>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
//! });
//! let guarded = meter.layer(closed.layer(service));
//! let response = guarded.oneshot(Request::new(String::new())).await?;
//! assert_eq!(response.status(), 403);
//! drop(response);
//!
//! let text = scrape.render();
//! assert!(text.contains(r#"layer="example",outcome="denied",mode="enforce",code="example.closed""#));
//! assert!(text.contains("bartizan_request_duration_seconds_count"));
//! # Ok(())
//! # }
//! ```
//!
//! Serve the text on a listener of its own, or behind authorization: it tells strangers which
//! routes there are and which attacks fail.
//!
//! # Metrics
//!
//! [`METRICS`] is this table as data. The dashboard and the alert rules of the repository
//! (`docs/grafana`) are held against it by a test.
//!
//! | metric | labels | what it counts |
//! |---|---|---|
//! | `bartizan_decisions_total` | `layer`, `outcome`, `mode`, `code`, `protocol`, `route` | decisions of layers about requests |
//! | `bartizan_peer_decisions_total` | `peer`, `layer`, `outcome` | the same for peers that are listed with `allow_peer_label`; absent otherwise |
//! | `bartizan_lifecycle_events_total` | `layer`, `kind`, `code` | handshakes, reloads, rotations, failures |
//! | `bartizan_source_last_success_timestamp_seconds` | `layer`, `source` | when a source last said that it works |
//! | `bartizan_source_last_failure_timestamp_seconds` | `layer`, `source` | when it last said that it fails |
//! | `bartizan_request_duration_seconds` | `protocol`, `method`, `route`, `status` | from the request's head to the end of the response's body |
//! | `bartizan_requests_in_flight` | `protocol` | requests whose response has not ended |
//! | `bartizan_telemetry_folded_total` | `label` | label values that were counted as `other` |
//!
//! | label | values |
//! |---|---|
//! | `layer` | the name that the layer decides under, such as `jwt` |
//! | `outcome` | `allowed`, `denied`, `would_have_denied`, `could_not_decide` |
//! | `mode` | `enforce`, `shadow` |
//! | `code` | a stable code such as `jwt.expired` (`docs/CODES.md`), `none` for what was allowed |
//! | `protocol` | `http`, `grpc`, `grpc_web`, `grpc_web_text` |
//! | `route` | the route's template, never a path; `none` without a route table |
//! | `status` | the HTTP status; for gRPC the gRPC status if the response's head tells it, as refusals do, else `in_trailers`; `abandoned` |
//! | `kind` | the kind of a lifecycle event, such as `source_failed` |
//! | `source` | the name of a source, such as a file's, an issuer's or a store's |
//! | `peer` | a listed SPIFFE ID or DNS name; `other`, `none` |
//!
//! # How it decides what to tell
//!
//! 1. Nothing that a client sends becomes a label: not a path, a method of its own making, an
//!    address, a subject or a certificate's name.
//! 2. What a program fixes is bounded all the same ([`Limits`]): what comes later than the limit
//!    is told as `other`, and the folding is counted.
//! 3. A decision that was seen before is counted without a lock and without an allocation. The
//!    tables only grow, up to their limits, which they never leave.
//! 4. Who called is told nowhere unless asked for (`allow_peer_label`,
//!    `TracingObserver::with_identities`). Credentials are in no event, so that no observer has
//!    any.
//!
//! # What it does not protect against
//!
//! * A scrape endpoint that everybody may read.
//! * An exporter that forgets idle series: see [`MetricsObserver`].
//! * What a handler writes into logs or spans itself.
//!
//! # Features
//!
//! | feature | gives | default |
//! |---|---|---|
//! | `metrics` | [`MetricsObserver`], for any recorder of the facade `metrics` | yes |
//! | `otel` | `OtelObserver`, `SpanLayer` and `PropagateLayer`, on the API of OpenTelemetry; which SDK is yours to choose | no |
//! | `tracing` | `TracingObserver` | no |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod fan_out;
mod guard;
mod layer;
mod limits;
mod measure;
mod metric;
mod trace_parent;

#[cfg(any(feature = "metrics", feature = "otel"))]
mod digits;
#[cfg(any(feature = "metrics", feature = "otel"))]
mod family;
#[cfg(any(feature = "metrics", feature = "otel", feature = "tracing"))]
mod label;
#[cfg(any(feature = "metrics", feature = "otel"))]
mod series;

#[cfg(feature = "tracing")]
mod log;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "otel")]
mod otel;
#[cfg(feature = "otel")]
mod span;

pub use self::fan_out::FanOut;
pub use self::guard::{MeterGuard, MeterPass};
pub use self::layer::{Meter, MeterLayer};
pub use self::limits::Limits;
#[cfg(feature = "tracing")]
pub use self::log::TracingObserver;
pub use self::measure::{Measure, RequestEnd, RequestEvent, RequestHead};
pub use self::metric::{DURATION_BUCKETS, METRICS, Metric, MetricKind};
#[cfg(feature = "metrics")]
pub use self::metrics::{GlobalRecorder, MetricsBuilder, MetricsObserver};
#[cfg(feature = "otel")]
pub use self::otel::OtelObserver;
#[cfg(feature = "otel")]
pub use self::span::{
    Propagate, PropagateLayer, SpanBody, SpanFuture, SpanLayer, Spanned, TraceTrust,
};
pub use self::trace_parent::TraceParent;

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
