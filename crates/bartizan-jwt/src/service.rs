//! The route of the resource metadata.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

/// Answers `GET` and `HEAD` with the metadata of a protected resource; made by
/// [`ResourceMetadata::service`](crate::ResourceMetadata::service).
#[derive(Clone)]
pub struct ResourceMetadataService(Arc<str>);

impl ResourceMetadataService {
    pub(crate) fn new(document: &str) -> Self {
        Self(document.into())
    }
}

impl<B> Service<Request<B>> for ResourceMetadataService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(String::new());
        let headers = response.headers_mut();
        match *request.method() {
            Method::GET | Method::HEAD => {
                let kind = HeaderValue::from_static("application/json");
                headers.insert(CONTENT_TYPE, kind);
                let age = HeaderValue::from_static("public, max-age=3600");
                headers.insert(CACHE_CONTROL, age);
                // Hosts leave out the body that answers HEAD.
                *response.body_mut() = self.0.to_string();
            }
            _ => {
                let allowed = HeaderValue::from_static("GET, HEAD");
                headers.insert(ALLOW, allowed);
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            }
        }
        ready(Ok(response))
    }
}

impl fmt::Debug for ResourceMetadataService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceMetadataService({})", self.0)
    }
}
