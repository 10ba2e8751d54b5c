//! Spans, and the traces that they belong to.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bartizan_core::{
    Check, Code, Connection, Duty, Enforcement, Entrance, Guard, GuardLayer, Inspection, Never,
    Peer, PeerIdentity, Rejection, RejectionKind, RouteTable, VerifiedCertificate, WallTime,
};
use bartizan_telemetry::{OtelObserver, PropagateLayer, SpanLayer, TraceTrust};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SpanData};
use tower::{Layer as _, ServiceExt as _, service_fn};

const DENIED: Code = Code::new("example.denied");
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

struct Sdk {
    provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
}

impl Sdk {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        Self { provider, exporter }
    }

    fn layer(&self) -> SpanLayer<SdkTracer> {
        SpanLayer::new(self.provider.tracer("test"))
    }

    fn spans(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    fn only(&self) -> SpanData {
        let spans = self.spans();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.into_iter().next().unwrap()
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|it| it.key.as_str() == key);
    found.map(|it| it.value.clone())
}

/// Refuses everybody.
#[derive(Clone, Debug)]
struct Closed(Duty);

impl Guard for Closed {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        inspection.note("rule closed".into());
        Check::Now(Err(Rejection::new(RejectionKind::Forbidden, DENIED)))
    }
}

fn closed(enforcement: Enforcement) -> GuardLayer<Closed> {
    let meter = SdkMeterProvider::default().meter("test");
    let observer = Arc::new(OtelObserver::new(&meter));
    let duty = Duty::new("example")
        .with_enforcement(enforcement)
        .with_observer(observer);
    let routes = RouteTable::new(["/a/{id}"]).unwrap();
    GuardLayer::new(Closed(duty)).with_entrance(Entrance::new().with_routes(routes))
}

fn request(traceparent: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::get("/a/1?token=canary-1f0c")
        .header("authorization", "Bearer canary-1f0c")
        .body(Full::new(Bytes::new()))
        .unwrap();
    if let Some(traceparent) = traceparent {
        let value = traceparent.parse().unwrap();
        request.headers_mut().insert("traceparent", value);
    }
    request
}

fn from_peer(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let peer = Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe("spiffe://example.org/web".parse().unwrap()),
        certificate_sha256: [0; 32],
        serial: [1].into(),
        not_after: WallTime::MAX,
    });
    let connection = Connection::from_remote(([192, 0, 2, 1], 4711).into());
    request.extensions_mut().insert(connection.with_peer(peer));
    request
}

async fn hello(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}

#[tokio::test]
async fn a_refusal_is_told_on_the_span_of_its_request() {
    let sdk = Sdk::new();
    let service = sdk
        .layer()
        .layer(closed(Enforcement::Enforce).layer(service_fn(hello)));
    let response = service.oneshot(request(None)).await.unwrap();
    assert_eq!(response.status(), 403);
    drop(response);
    let span = sdk.only();
    assert_eq!(span.name, "GET");
    assert_eq!(attribute(&span, "http.route"), Some("/a/{id}".into()));
    assert_eq!(
        attribute(&span, "http.response.status_code"),
        Some(403.into())
    );
    assert_eq!(
        attribute(&span, "error.type"),
        Some("example.denied".into())
    );
    // The client's fault is no error of this span.
    assert_eq!(span.status, Status::Unset);
    let event = span.events.iter().next().unwrap();
    assert_eq!(event.name, "bartizan.decision");
    for expected in [
        KeyValue::new("bartizan.layer", "example"),
        KeyValue::new("bartizan.outcome", "denied"),
        KeyValue::new("bartizan.code", "example.denied"),
        KeyValue::new("bartizan.detail", "rule closed"),
    ] {
        assert!(
            event.attributes.contains(&expected),
            "{expected:?} is in {event:?}"
        );
    }
    assert!(!format!("{span:?}").contains("canary-1f0c"), "{span:?}");
}

#[tokio::test]
async fn shadow_mode_tells_the_event_and_no_error() {
    let sdk = Sdk::new();
    let service = sdk
        .layer()
        .layer(closed(Enforcement::Shadow).layer(service_fn(hello)));
    let response = service.oneshot(request(None)).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
    let span = sdk.only();
    assert_eq!(span.events.len(), 1);
    assert_eq!(attribute(&span, "error.type"), None);
    assert_eq!(
        attribute(&span, "http.response.status_code"),
        Some(200.into())
    );
}

#[tokio::test]
async fn the_trace_of_a_proven_peer_is_continued_and_no_strangers() {
    let check =
        async |trust: Option<TraceTrust>, request: Request<Full<Bytes>>, continued: bool| {
            let sdk = Sdk::new();
            let layer = match trust {
                Some(trust) => sdk.layer().with_trust(trust),
                None => sdk.layer(),
            };
            drop(
                layer
                    .layer(service_fn(hello))
                    .oneshot(request)
                    .await
                    .unwrap(),
            );
            let span = sdk.only();
            let trace = span.span_context.trace_id().to_string();
            assert_eq!(trace == TRACE, continued, "{span:?}");
            if continued {
                assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
            }
            let linked = span
                .links
                .iter()
                .any(|link| link.span_context.trace_id().to_string() == TRACE);
            assert_eq!(linked, !continued, "{span:?}");
        };
    let (anybody, nobody) = (TraceTrust::Anybody, TraceTrust::Nobody);
    check(None, from_peer(request(Some(PARENT))), true).await;
    check(None, request(Some(PARENT)), false).await;
    check(Some(anybody), request(Some(PARENT)), true).await;
    check(Some(nobody), from_peer(request(Some(PARENT))), false).await;
}

#[tokio::test]
async fn a_malformed_header_begins_a_trace_of_its_own() {
    let sdk = Sdk::new();
    let request = from_peer(request(Some("00-XYZ-00f067aa0ba902b7-01")));
    let service = sdk.layer().layer(service_fn(hello));
    drop(service.oneshot(request).await.unwrap());
    let span = sdk.only();
    assert!(span.links.is_empty());
    assert_ne!(span.span_context.trace_id().to_string(), TRACE);
}

#[tokio::test]
async fn calls_that_a_handler_makes_carry_the_span_onwards() {
    let sdk = Sdk::new();
    let client = PropagateLayer.layer(service_fn(async |request: Request<Full<Bytes>>| {
        let carried = request.headers()["traceparent"]
            .to_str()
            .unwrap()
            .to_owned();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(carried))))
    }));
    let handler = service_fn(move |mut request: Request<Full<Bytes>>| {
        async move {
            // What a stranger sent is not passed on.
            let stranger = "00-11111111111111111111111111111111-2222222222222222-01";
            let value = stranger.parse().unwrap();
            request.headers_mut().insert("traceparent", value);
            tokio::task::yield_now().await;
            client.oneshot(request).await
        }
    });
    let service = sdk.layer().layer(handler);
    let response = service
        .oneshot(from_peer(request(Some(PARENT))))
        .await
        .unwrap();
    let carried = response.into_body().collect().await.unwrap().to_bytes();
    let span = sdk.only();
    let own = format!("00-{TRACE}-{}-01", span.span_context.span_id());
    assert_eq!(carried, own);
}

/// A gRPC answer whose status comes last.
async fn failing(_: Request<Full<Bytes>>) -> Result<Response<Trailing>, Infallible> {
    Ok(Response::new(Trailing { data: true }))
}

/// A body of one byte, and trailers.
#[derive(Debug)]
struct Trailing {
    data: bool,
}

impl http_body::Body for Trailing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = if std::mem::take(&mut self.data) {
            Frame::data(Bytes::from_static(b"x"))
        } else {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "13".parse().unwrap());
            Frame::trailers(trailers)
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

#[tokio::test]
async fn a_span_ends_with_the_body_and_knows_the_status_in_trailers() {
    let sdk = Sdk::new();
    let mut request = request(None);
    *request.method_mut() = http::Method::POST;
    let content = "application/grpc".parse().unwrap();
    request.headers_mut().insert("content-type", content);
    let response = sdk
        .layer()
        .layer(service_fn(failing))
        .oneshot(request)
        .await
        .unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!(sdk.spans().len(), 0);
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    drop(body);
    let span = sdk.only();
    assert_eq!(attribute(&span, "rpc.grpc.status_code"), Some(13.into()));
    assert_eq!(span.status, Status::error(""));
}

#[tokio::test]
async fn a_span_of_an_abandoned_request_ends() {
    let sdk = Sdk::new();
    let service = sdk
        .layer()
        .layer(service_fn(async |_: Request<Full<Bytes>>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
        }));
    let call = tokio::spawn(service.oneshot(request(None)));
    tokio::task::yield_now().await;
    assert_eq!(sdk.spans().len(), 0);
    call.abort();
    assert!(call.await.is_err());
    assert_eq!(sdk.spans().len(), 1);
}
