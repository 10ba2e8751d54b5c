//! What a user would take instead: a layer of a few lines that tells `tracing`.

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bartizan_core::SecurityContext;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::Service;

/// What a user would write: a layer that tells of each request by one event of `tracing`, once the
/// body has ended.
#[derive(Clone)]
pub(crate) struct Traced<S>(pub(crate) S);

pub(crate) struct Told {
    context: SecurityContext,
    method: http::Method,
    trace: Option<HeaderValue>,
    began: Instant,
    status: u16,
    bytes: usize,
}

pub(crate) struct TracedFuture<F>(F, Option<Told>);

pub(crate) struct TracedBody(Full<Bytes>, Option<Told>);

impl<S> Service<Request<()>> for Traced<S>
where
    S: Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<TracedBody>;
    type Error = Infallible;
    type Future = TracedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let told = Told {
            context: SecurityContext::of(request.extensions()).unwrap().clone(),
            method: request.method().clone(),
            trace: request.headers().get("traceparent").cloned(),
            began: Instant::now(),
            status: 0,
            bytes: 0,
        };
        TracedFuture(self.0.call(request), Some(told))
    }
}

impl<F> Future for TracedFuture<F>
where
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Unpin,
{
    type Output = Result<Response<TracedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(Ok(response)) = Pin::new(&mut self.0).poll(cx) else {
            return Poll::Pending;
        };
        let mut told = self.1.take().unwrap();
        told.status = response.status().as_u16();
        Poll::Ready(Ok(response.map(|body| TracedBody(body, Some(told)))))
    }
}

impl Body for TracedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = Pin::new(&mut self.0).poll_frame(cx);
        let Some(told) = &mut self.1 else {
            return polled;
        };
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            told.bytes += frame.data_ref().map_or(0, Bytes::len);
        }
        if self.0.is_end_stream()
            && let Some(told) = self.1.take()
        {
            told.tell();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

impl Told {
    fn tell(&self) {
        let context = &self.context;
        let principal = context.principal().unwrap();
        let decisions = context.decisions();
        let decision = |at: usize| {
            let decision = &decisions[at];
            let code = decision.code().map_or("", |code| code.as_str());
            (decision.layer(), decision.outcome().as_str(), code)
        };
        let (first, second, third) = (decision(0), decision(1), decision(2));
        tracing::info!(
            method = self.method.as_str(),
            template = context.template(),
            status = self.status,
            duration_us = u64::try_from(self.began.elapsed().as_micros()).unwrap(),
            peer = %context.peer().unwrap(),
            address = ?context.address(),
            scheme = principal.scheme().as_str(),
            issuer = principal.issuer(),
            subject = principal.subject(),
            client = principal.client(),
            token_id = principal.token_id(),
            trace = self.trace.as_ref().and_then(|trace| trace.to_str().ok()),
            first_layer = first.0,
            first_outcome = first.1,
            first_code = first.2,
            second_layer = second.0,
            second_outcome = second.1,
            second_code = second.2,
            third_layer = third.0,
            third_outcome = third.1,
            third_code = third.2,
            response_bytes = self.bytes,
            ending = "complete",
            "request"
        );
    }
}

/// The lines of `tracing`, by a thread of its own.
pub(crate) fn subscriber(
    file: &Path,
) -> (
    impl tracing::Subscriber + Send + Sync + use<>,
    tracing_appender::non_blocking::WorkerGuard,
) {
    let (writer, guard) = tracing_appender::non_blocking(std::fs::File::create(file).unwrap());
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(writer)
        .with_current_span(false)
        .finish();
    (subscriber, guard)
}
