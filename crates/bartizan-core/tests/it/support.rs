//! Guards with a known answer, and requests to put to them.

use std::sync::Arc;
use std::task::{Context, Poll};

use bartizan_core::{
    Check, Code, Duty, Enforcement, Guard, Inspection, Observe, Pass, Rejection, RejectionKind,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::watch;

pub(crate) const REFUSED: Code = Code::new("test.refused");

/// Passes a request that carries `x-pass: yes`, and refuses any other.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    duty: Duty,
    later: bool,
    closed: bool,
    held: Arc<watch::Sender<usize>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            duty: Duty::new("gate"),
            later: false,
            closed: false,
            held: Arc::default(),
        }
    }

    pub(crate) fn named(layer: &'static str) -> Self {
        Self {
            duty: Duty::new(layer),
            ..Self::new()
        }
    }

    /// Answers only when polled a second time.
    pub(crate) fn later(mut self) -> Self {
        self.later = true;
        self
    }

    /// Refuses whatever the request carries.
    pub(crate) fn closed(mut self) -> Self {
        self.closed = true;
        self
    }

    pub(crate) fn shadow(mut self) -> Self {
        self.duty = self.duty.with_enforcement(Enforcement::Shadow);
        self
    }

    pub(crate) fn observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.duty = self.duty.with_observer(observer);
        self
    }

    /// How many passes exist at present.
    pub(crate) fn held(&self) -> watch::Receiver<usize> {
        self.held.subscribe()
    }
}

impl Guard for Gate {
    type Pass = Marker;
    type Inquiry = std::pin::Pin<Box<dyn Future<Output = Result<Marker, Rejection>> + Send>>;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<Marker, Self::Inquiry> {
        let passes = inspection
            .parts
            .headers
            .get("x-pass")
            .is_some_and(|value| value == "yes");
        let passes = passes && !self.closed;
        let layer = self.duty.layer();
        let held = Arc::clone(&self.held);
        let verdict = move || match passes {
            true => Ok(Marker::new(layer, held)),
            false => Err(Rejection::new(RejectionKind::Forbidden, REFUSED)),
        };
        match self.later {
            false => Check::Now(verdict()),
            true => Check::Later(Box::pin(async move {
                tokio::task::yield_now().await;
                verdict()
            })),
        }
    }
}

/// Marks the response, and counts how many of its kind exist.
#[derive(Debug)]
pub(crate) struct Marker {
    layer: &'static str,
    held: Arc<watch::Sender<usize>>,
}

impl Marker {
    fn new(layer: &'static str, held: Arc<watch::Sender<usize>>) -> Self {
        held.send_modify(|held| *held += 1);
        Self { layer, held }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.held.send_modify(|held| *held -= 1);
    }
}

impl Pass for Marker {
    fn respond(&mut self, response: &mut response::Parts) {
        let name = HeaderName::from_static("x-passed");
        response
            .headers
            .append(name, HeaderValue::from_static(self.layer));
    }

    fn poll_cut(&mut self, _: &mut Context<'_>) -> Poll<Rejection> {
        Poll::Pending
    }
}

pub(crate) fn request(passes: bool) -> http::request::Builder {
    let builder = Request::builder().uri("/hello").method("POST");
    if passes {
        builder.header("x-pass", "yes")
    } else {
        builder
    }
}

pub(crate) fn http(passes: bool) -> Request<Full<Bytes>> {
    request(passes).body(Full::default()).unwrap()
}

/// The health check call of gRPC with an empty message.
pub(crate) fn grpc(passes: bool) -> Request<Full<Bytes>> {
    request(passes)
        .uri("/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from(Bytes::from_static(&[0, 0, 0, 0, 0])))
        .unwrap()
}

pub(crate) async fn text<B>(body: B) -> String
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
