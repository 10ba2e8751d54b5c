//! A span for each request, and the trace that it belongs to.

mod body;
mod future;
mod headers;
mod propagate;

use std::fmt;
use std::sync::Arc;
use std::task::{self, Poll};

use bartizan_core::{Connection, Protocol};
use http::request::Parts;
use http::{Request, Response, Version};
use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt as _, Tracer};
use opentelemetry::{Context, KeyValue};
use tower_layer::Layer;
use tower_service::Service;

pub use self::body::SpanBody;
pub use self::future::SpanFuture;
pub use self::propagate::{Propagate, PropagateLayer};
use crate::guard::{method, scheme};

/// Opens a span for each request, current while it is served and its response's body is sent.
///
/// Put it outside of all layers of the family, and what they decide is told on it (by
/// [`OtelObserver`](crate::OtelObserver)). It makes no decision and knows no secret: method,
/// scheme, protocol and status are all that it writes, and `http.route` comes with the first
/// decision.
///
/// Whether the trace of the caller is continued is a matter of trust ([`TraceTrust`]): a stranger
/// who may choose trace ids and have spans recorded can mix into the traces of others, and
/// run up costs. By default a trace is continued for a proven peer alone; from anybody else it
/// becomes a link of a new trace.
///
/// A service for what carries `traceparent` onwards is [`PropagateLayer`].
pub struct SpanLayer<T> {
    tracer: Arc<T>,
    trust: TraceTrust,
}

/// Whose trace is continued.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum TraceTrust {
    /// Everybody's: for a service behind a gateway that removes `traceparent` from strangers.
    Anybody,
    /// Nobody's. Every trace begins here, with a link to the caller's.
    Nobody,
    /// That of a peer whose connection proves who it is. The default.
    #[default]
    Peers,
}

/// A service behind a [`SpanLayer`].
pub struct Spanned<S, T> {
    inner: S,
    tracer: Arc<T>,
    trust: TraceTrust,
}

impl<T> SpanLayer<T>
where
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync + 'static,
{
    /// Opens spans with this tracer.
    pub fn new(tracer: T) -> Self {
        Self {
            tracer: Arc::new(tracer),
            trust: TraceTrust::default(),
        }
    }

    /// Sets whose trace is continued.
    #[must_use]
    pub fn with_trust(mut self, trust: TraceTrust) -> Self {
        self.trust = trust;
        self
    }
}

impl<S, T> Layer<S> for SpanLayer<T> {
    type Service = Spanned<S, T>;

    fn layer(&self, inner: S) -> Spanned<S, T> {
        Spanned {
            inner,
            tracer: Arc::clone(&self.tracer),
            trust: self.trust,
        }
    }
}

impl<S, T, ReqBody, ResBody> Service<Request<ReqBody>> for Spanned<S, T>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync + 'static,
{
    type Response = Response<SpanBody<ResBody>>;
    type Error = S::Error;
    type Future = SpanFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> SpanFuture<S::Future> {
        let (parts, body) = request.into_parts();
        let context = self.open(&parts);
        let is_grpc = Protocol::of(&parts).is_grpc();
        let request = Request::from_parts(parts, body);
        let response = {
            let _current = context.clone().attach();
            self.inner.call(request)
        };
        SpanFuture::new(response, OpenSpan(context), is_grpc)
    }
}

impl<S, T> Spanned<S, T>
where
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync + 'static,
{
    fn open(&self, parts: &Parts) -> Context {
        let mut parent = Context::current();
        let caller = headers::extract(&parts.headers);
        let mut span = self
            .tracer
            .span_builder(method(&parts.method))
            .with_kind(SpanKind::Server)
            .with_attributes(attributes(parts));
        match caller {
            Some(caller) if self.continues(parts) => {
                parent = parent.with_remote_span_context(caller);
            }
            Some(caller) => span = span.with_links(vec![link(caller)]),
            None => {}
        }
        let span = span.start_with_context(&*self.tracer, &parent);
        parent.with_span(span)
    }

    fn continues(&self, parts: &Parts) -> bool {
        match self.trust {
            TraceTrust::Anybody => true,
            TraceTrust::Nobody => false,
            TraceTrust::Peers => Connection::of(&parts.extensions)
                .and_then(Connection::peer)
                .is_some(),
        }
    }
}

fn link(caller: SpanContext) -> Link {
    Link::new(caller, Vec::new(), 0)
}

fn attributes(parts: &Parts) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("http.request.method", method(&parts.method))];
    if let Some(scheme) = scheme(parts) {
        attributes.push(KeyValue::new("url.scheme", scheme));
    }
    let version = match parts.version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    };
    if let Some(version) = version {
        attributes.push(KeyValue::new("network.protocol.version", version));
    }
    attributes
}

/// A span that is ended when nobody serves its request any more, whoever else holds it.
pub(crate) struct OpenSpan(Context);

impl OpenSpan {
    pub(crate) fn context(&self) -> &Context {
        &self.0
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.0.span().end();
    }
}

impl<T> Clone for SpanLayer<T> {
    fn clone(&self) -> Self {
        Self {
            tracer: Arc::clone(&self.tracer),
            trust: self.trust,
        }
    }
}

impl<T> fmt::Debug for SpanLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanLayer")
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl<S: Clone, T> Clone for Spanned<S, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            tracer: Arc::clone(&self.tracer),
            trust: self.trust,
        }
    }
}

impl<S: fmt::Debug, T> fmt::Debug for Spanned<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spanned")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
