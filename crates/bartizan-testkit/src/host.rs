//! One layer, every host.

mod answer;
mod call;
mod oneshot;
mod socket;

use std::convert::Infallible;

use axum::routing::Route;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use tonic::service::Routes;
use tower_layer::Layer;
use tower_service::Service;

use crate::echo::{GrpcEcho, HttpEcho};
use crate::error::TestkitError;

pub use self::answer::Answer;
pub use self::call::Call;

/// A place where a tower layer can stand.
///
/// The layer is always put in front of an echo service, [`HttpEcho`] or [`GrpcEcho`].
///
/// ```
/// use bartizan_testkit::{Call, Host};
/// use tower::layer::util::Identity;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bartizan_testkit::TestkitError> {
/// let layer = Identity::new();
/// for host in Host::WITHOUT_SOCKETS {
///     let answer = host.send(&layer, &Call::echo("hello")).await?;
///     assert!(answer.is_success(), "{answer:?}");
///     assert_eq!(answer.json()["body"], "hello");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Host {
    /// `axum::Router::layer`, called directly.
    AxumLayer,
    /// A layered axum router nested below `/nested` in another one, called directly.
    AxumNest,
    /// `axum::Router::route_layer`, called directly.
    AxumRouteLayer,
    /// `axum::serve` on a loopback socket, HTTP/1.1.
    AxumServe,
    /// A plain service with a `Full<Bytes>` body, called directly.
    Hyper,
    /// hyper-util's automatic server on a loopback socket, HTTP/2.
    HyperServe,
    /// One tonic service under `named_layer`, called directly.
    TonicNamedLayer,
    /// The routes of a tonic server under the layer, as `Server::layer` puts them; called directly.
    TonicRoutes,
    /// tonic's transport server with `Server::layer` on a loopback socket.
    TonicServe,
}

impl Host {
    /// The hosts that need no socket.
    pub const WITHOUT_SOCKETS: [Self; 6] = [
        Self::AxumLayer,
        Self::AxumNest,
        Self::AxumRouteLayer,
        Self::Hyper,
        Self::TonicNamedLayer,
        Self::TonicRoutes,
    ];

    /// The hosts that listen on a loopback socket. They need a runtime with I/O enabled, and
    /// time that runs: not tokio's paused clock.
    pub const WITH_SOCKETS: [Self; 3] = [Self::AxumServe, Self::HyperServe, Self::TonicServe];

    /// Whether requests to this host speak gRPC.
    pub fn is_grpc(self) -> bool {
        matches!(
            self,
            Self::TonicNamedLayer | Self::TonicRoutes | Self::TonicServe
        )
    }

    /// Puts `layer` into this host, sends one request, and returns what a client sees.
    ///
    /// Each call builds the host anew; state that should last lives in the layer.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Http`] for a header that cannot be sent, [`TestkitError::Io`] and
    /// [`TestkitError::HttpConnection`] if a socket failed. A refusal is an answer, not an error.
    pub async fn send<L: HostLayer>(self, layer: &L, call: &Call) -> Result<Answer, TestkitError> {
        match self {
            Self::AxumLayer | Self::AxumNest | Self::AxumRouteLayer => {
                oneshot::axum(self, layer, call).await
            }
            Self::Hyper => oneshot::hyper(self, layer, call).await,
            Self::TonicNamedLayer | Self::TonicRoutes => oneshot::tonic(self, layer, call).await,
            Self::AxumServe => socket::axum(self, layer, call).await,
            Self::HyperServe => socket::hyper(self, layer, call).await,
            Self::TonicServe => socket::tonic(self, layer, call).await,
        }
    }
}

/// A layer that fits every [`Host`]. Implemented for whatever does; nothing to implement by hand.
///
/// That a layer implements it is itself a promise of the family, checked at compile time.
pub trait HostLayer:
    Clone
    + Layer<GrpcEcho, Service: HostService<tonic::body::Body>>
    + Layer<HttpEcho, Service: HostService<Full<Bytes>> + HostService<Incoming>>
    + Layer<Route, Service: HostService<axum::body::Body>>
    + Layer<Routes, Service: HostService<tonic::body::Body>>
    + Send
    + Sync
    + 'static
{
}

impl<L> HostLayer for L where
    L: Clone
        + Layer<GrpcEcho, Service: HostService<tonic::body::Body>>
        + Layer<HttpEcho, Service: HostService<Full<Bytes>> + HostService<Incoming>>
        + Layer<Route, Service: HostService<axum::body::Body>>
        + Layer<Routes, Service: HostService<tonic::body::Body>>
        + Send
        + Sync
        + 'static
{
}

/// A service that a host can run: cloneable, never failing, with an HTTP body of bytes.
/// Implemented for whatever is one.
pub trait HostService<B>:
    Clone
    + Send
    + Service<
        Request<B>,
        Response = Response<<Self as HostService<B>>::ResponseBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Sync
    + 'static
{
    /// The body of its responses.
    type ResponseBody: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;
}

impl<S, B, R> HostService<B> for S
where
    S: Clone
        + Send
        + Service<Request<B>, Response = Response<R>, Error = Infallible, Future: Send + 'static>
        + Sync
        + 'static,
    R: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    type ResponseBody = R;
}
