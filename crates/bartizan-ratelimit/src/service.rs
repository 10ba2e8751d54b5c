//! The service that measures what it hands on.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tower_service::Service;

use crate::body::{Ticket, UploadBody};

/// A service whose requests' bodies are measured while it reads them; the inner part of an
/// [`Upload`](crate::Upload).
#[derive(Clone, Debug)]
pub struct Measured<S> {
    inner: S,
}

impl<S> Measured<S> {
    /// Puts the measuring in front of a service by itself: a layer further out may have asked for
    /// it. Where none has, nothing is measured, and the body is the same type all the same.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<Request<B>> for Measured<S>
where
    S: Service<Request<UploadBody<B>>>,
    B: Body<Data = Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let ticket = request.extensions_mut().remove::<Ticket>();
        let request = request.map(|body| UploadBody::new(body, ticket));
        self.inner.call(request)
    }
}
