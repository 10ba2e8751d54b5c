//! The body of a response, within the span of its request.

use std::fmt;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanRef, Status, TraceContextExt as _};
use pin_project_lite::pin_project;

use super::OpenSpan;

pin_project! {
    /// The body of a response. The span ends with it.
    pub struct SpanBody<B> {
        #[pin]
        inner: B,
        span: Option<OpenSpan>,
        is_grpc: bool,
    }
}

impl<B> SpanBody<B> {
    pub(super) fn new(inner: B, span: Option<OpenSpan>, is_grpc: bool) -> Self {
        Self {
            inner,
            span,
            is_grpc,
        }
    }
}

impl<B: Body> Body for SpanBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let current = this.span.as_ref().map(|it| it.context().clone().attach());
        let frame = ready!(this.inner.poll_frame(cx));
        drop(current);
        if let Some(span) = &this.span {
            let span = span.context().span();
            match &frame {
                Some(Ok(frame)) if *this.is_grpc => {
                    if let Some(trailers) = frame.trailers_ref() {
                        note_grpc(&span, trailers);
                    }
                }
                Some(Err(_)) => span.set_status(Status::error("the body failed")),
                _ => {}
            }
        }
        if !matches!(frame, Some(Ok(_))) {
            this.span.take();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Notes the gRPC status, where it is told.
pub(super) fn note_grpc(span: &SpanRef<'_>, headers: &HeaderMap) {
    let status = headers.get("grpc-status");
    let status = status.and_then(|it| it.to_str().ok()?.parse::<u8>().ok());
    if let Some(status) = status {
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(status)));
        // Those that say that the server failed, as the semantic conventions have it.
        if matches!(status, 2 | 4 | 12 | 13 | 14 | 15) {
            span.set_status(Status::error(""));
        }
    }
}

impl<B> fmt::Debug for SpanBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpanBody")
    }
}
