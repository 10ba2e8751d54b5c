//! The response of a service behind a [`SpanLayer`](super::SpanLayer).

use std::fmt;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use http::Response;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Status, TraceContextExt as _};
use pin_project_lite::pin_project;

use super::OpenSpan;
use super::body::SpanBody;

pin_project! {
    /// A response that is on its way, with the span of its request.
    pub struct SpanFuture<F> {
        #[pin]
        inner: F,
        span: Option<OpenSpan>,
        is_grpc: bool,
    }
}

impl<F> SpanFuture<F> {
    pub(super) fn new(inner: F, span: OpenSpan, is_grpc: bool) -> Self {
        Self {
            inner,
            span: Some(span),
            is_grpc,
        }
    }
}

impl<F, B, E> Future for SpanFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<SpanBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let current = this.span.as_ref().map(|it| it.context().clone().attach());
        let answered = ready!(this.inner.poll(cx));
        drop(current);
        let span = this.span.take();
        Poll::Ready(match answered {
            Ok(response) => {
                if let Some(span) = &span {
                    note(span, &response, *this.is_grpc);
                }
                Ok(response.map(|body| SpanBody::new(body, span, *this.is_grpc)))
            }
            Err(error) => {
                if let Some(span) = &span {
                    let status = Status::error("the service failed");
                    span.context().span().set_status(status);
                }
                Err(error)
            }
        })
    }
}

fn note<B>(span: &OpenSpan, response: &Response<B>, is_grpc: bool) {
    let span = span.context().span();
    let status = i64::from(response.status().as_u16());
    span.set_attribute(KeyValue::new("http.response.status_code", status));
    if response.status().is_server_error() {
        span.set_status(Status::error(""));
    }
    if is_grpc {
        super::body::note_grpc(&span, response.headers());
    }
}

impl<F> fmt::Debug for SpanFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpanFuture")
    }
}
