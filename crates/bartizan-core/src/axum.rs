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

impl<L> Connected<IncomingStream<'_, L>> for Connection
where
    L: Listener,
    L::Addr: DescribeConnection,
{
    fn connect_info(stream: IncomingStream<'_, L>) -> Self {
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
