//! axum: connection information, extractors, and refusals as responses.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::connection::{Connection, DescribeConnection};
use crate::context::SecurityContext;
use crate::demand;
use crate::peer::Peer;
use crate::principal::{Caller, Principal};
use crate::protocol::Protocol;
use crate::rejection::Rejection;

/// Lets axum hand a listener's [`Connection`] to each request.
///
/// ```no_run
/// # async fn serve() -> std::io::Result<()> {
/// use bartizan_core::{AxumListener, Connection};
///
/// let app = axum::Router::new();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let app = app.into_make_service_with_connect_info::<Connection>();
/// axum::serve(AxumListener::new(listener), app).await
/// # }
/// ```
///
/// It exists because axum's `Connected` cannot be implemented for a type of this crate over every
/// listener: that would overlap with an implementation of axum's own.
#[derive(Debug)]
pub struct AxumListener<L>(L);

impl<L> AxumListener<L> {
    /// Wraps a listener whose addresses say what is known of the connection.
    pub const fn new(listener: L) -> Self {
        Self(listener)
    }

    /// The listener.
    pub const fn get_ref(&self) -> &L {
        &self.0
    }
}

impl<L: Listener> Listener for AxumListener<L> {
    type Io = L::Io;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (L::Io, L::Addr) {
        self.0.accept().await
    }

    fn local_addr(&self) -> std::io::Result<L::Addr> {
        self.0.local_addr()
    }
}

impl<L> Connected<IncomingStream<'_, AxumListener<L>>> for Connection
where
    L: Listener,
    L::Addr: DescribeConnection,
{
    fn connect_info(stream: IncomingStream<'_, AxumListener<L>>) -> Self {
        stream.remote_addr().describe()
    }
}

impl IntoResponse for Rejection {
    /// Renders the refusal as problem details. A handler that speaks gRPC calls
    /// [`into_response`](Rejection::into_response) with its protocol instead.
    fn into_response(self) -> Response {
        self.into_response(Protocol::Http)
            .map(axum_core::body::Body::new)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SecurityContext {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        demand::context(&parts.extensions).cloned()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        demand::peer(&parts.extensions).cloned()
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Peer {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(demand::context(&parts.extensions)?.peer().cloned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        demand::principal(&parts.extensions).cloned()
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(demand::context(&parts.extensions)?.principal().cloned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        demand::caller(&parts.extensions)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(demand::context(&parts.extensions)?.caller())
    }
}
