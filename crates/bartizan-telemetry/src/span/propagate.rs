//! Carries the trace onwards.

use std::task::{self, Poll};

use http::Request;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tower_layer::Layer;
use tower_service::Service;

use super::headers::inject;

/// For clients: writes the current span into `traceparent` and `tracestate` of each request.
///
/// What stood in these headers is removed first, so that a service that forwards requests does
/// not pass on the trace of a stranger as its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct PropagateLayer;

/// A client behind a [`PropagateLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Propagate<S>(S);

impl<S> Layer<S> for PropagateLayer {
    type Service = Propagate<S>;

    fn layer(&self, inner: S) -> Propagate<S> {
        Propagate(inner)
    }
}

impl<S, B> Service<Request<B>> for Propagate<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        Context::map_current(|context| {
            inject(request.headers_mut(), context.span().span_context());
        });
        self.0.call(request)
    }
}
