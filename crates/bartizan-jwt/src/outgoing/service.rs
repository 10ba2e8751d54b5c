//! The service.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::error::OutgoingError;
use super::future::OutgoingFuture;
use super::layer::{Prepared, Shared};

/// A client behind an [`OutgoingLayer`](crate::OutgoingLayer).
///
/// Nothing is asked of request or response bodies, which pass through unchanged.
#[derive(Clone, Debug)]
pub struct Outgoing<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Outgoing<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The client behind the layer.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Outgoing<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResBody>;
    type Error = OutgoingError<S::Error>;
    type Future = OutgoingFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(OutgoingError::Inner)
    }

    fn call(&mut self, request: Request<ReqBody>) -> OutgoingFuture<S, ReqBody> {
        let (mut parts, body) = request.into_parts();
        match self.shared.prepare(&mut parts) {
            Ok(Prepared::Ready(sent)) => {
                let request = Request::from_parts(parts, body);
                OutgoingFuture::calling(self.inner.call(request), sent)
            }
            Ok(Prepared::Waiting(supply, obtaining)) => {
                // Nothing that `poll_ready` reserved is held meanwhile: an authorization server
                // that is slow must not use up what the client has for everybody.
                let service = self.release_permit();
                let request = Request::from_parts(parts, body);
                OutgoingFuture::waiting(supply, obtaining, service, request)
            }
            Err(error) => {
                self.release_permit();
                OutgoingFuture::failed(error)
            }
        }
    }
}

impl<S: Clone> Outgoing<S> {
    /// Gives back what `poll_ready` reserved in the inner service, and a fresh one.
    fn release_permit(&mut self) -> S {
        let fresh = self.inner.clone();
        drop(mem::replace(&mut self.inner, fresh.clone()));
        fresh
    }
}
