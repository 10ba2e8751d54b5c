//! A layer that may be absent: chosen by the file, and so not by a type.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_encrypt::EncryptBody;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// A service with a layer around it, or without.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a service has a layer, or it does not"
)]
pub enum OptionalService<A, S> {
    /// With the layer.
    With(A),
    /// Without it.
    Without(S),
}

/// Puts a layer around a service if there is one.
pub(crate) fn optional<L: Layer<S>, S>(
    layer: Option<&L>,
    service: S,
) -> OptionalService<L::Service, S> {
    match layer {
        Some(layer) => OptionalService::With(layer.layer(service)),
        None => OptionalService::Without(service),
    }
}

impl<A, S, B, X, Y> Service<Request<B>> for OptionalService<A, S>
where
    A: Service<Request<B>, Response = Response<X>>,
    S: Service<Request<B>, Response = Response<Y>, Error = A::Error>,
{
    type Response = Response<OptionalBody<X, Y>>;
    type Error = A::Error;
    type Future = OptionalFuture<A::Future, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        match self {
            Self::With(service) => service.poll_ready(cx),
            Self::Without(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self {
            Self::With(service) => OptionalFuture::With {
                future: service.call(request),
            },
            Self::Without(service) => OptionalFuture::Without {
                future: service.call(request),
            },
        }
    }
}

/// A service that gets its requests with the body that they have behind encryption, where there is
/// none.
#[derive(Clone, Debug)]
pub struct Plain<S>(S);

impl<S> Plain<S> {
    pub(crate) const fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> Service<Request<B>> for Plain<S>
where
    S: Service<Request<EncryptBody<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.0.call(request.map(EncryptBody::from))
    }
}

pin_project! {
    /// The future of an [`OptionalService`].
    #[derive(Debug)]
    #[project = FutureOf]
    pub enum OptionalFuture<A, S> {
        /// With the layer.
        #[doc(hidden)]
        With { #[pin] future: A },
        /// Without it.
        #[doc(hidden)]
        Without { #[pin] future: S },
    }
}

impl<A, S, X, Y, E> Future for OptionalFuture<A, S>
where
    A: Future<Output = Result<Response<X>, E>>,
    S: Future<Output = Result<Response<Y>, E>>,
{
    type Output = Result<Response<OptionalBody<X, Y>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            FutureOf::With { future } => {
                ready!(future.poll(cx)).map(|it| it.map(|body| OptionalBody::With { body }))
            }
            FutureOf::Without { future } => {
                ready!(future.poll(cx)).map(|it| it.map(|body| OptionalBody::Without { body }))
            }
        })
    }
}

pin_project! {
    /// The body of an answer of an [`OptionalService`].
    #[derive(Debug)]
    #[project = BodyOf]
    pub enum OptionalBody<X, Y> {
        /// With the layer.
        #[doc(hidden)]
        With { #[pin] body: X },
        /// Without it.
        #[doc(hidden)]
        Without { #[pin] body: Y },
    }
}

impl<X, Y> Body for OptionalBody<X, Y>
where
    X: Body<Data = Bytes>,
    X::Error: Into<BoxError>,
    Y: Body<Data = Bytes>,
    Y::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            BodyOf::With { body } => body.poll_frame(cx).map_err(Into::into),
            BodyOf::Without { body } => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::With { body } => body.is_end_stream(),
            Self::Without { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::With { body } => body.size_hint(),
            Self::Without { body } => body.size_hint(),
        }
    }
}

/// An empty body: what tonic's interceptors answer with.
impl<X, Y: Default> Default for OptionalBody<X, Y> {
    fn default() -> Self {
        Self::Without { body: Y::default() }
    }
}
