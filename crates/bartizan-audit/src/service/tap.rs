//! The service that reads fields of bodies.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use serde_json::Value;
use tower_service::Service;

use crate::body::TapBody;
use crate::policy::without_secrets;

/// What was read of the two bodies of a request; shared between the audit layer and its tap.
#[derive(Debug)]
pub(crate) struct Taps {
    largest: usize,
    request: Mutex<Tapped>,
    response: Mutex<Tapped>,
}

/// What was read of a body.
#[derive(Debug, Default)]
struct Tapped {
    bytes: Vec<u8>,
    /// Larger than what is held, or no JSON.
    unreadable: bool,
}

/// Which of the two bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Request,
    Response,
}

impl Taps {
    pub(crate) fn new(largest: usize) -> Self {
        Self {
            largest,
            request: Mutex::default(),
            response: Mutex::default(),
        }
    }

    fn side(&self, side: Side) -> MutexGuard<'_, Tapped> {
        let tapped = match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        };
        tapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a piece of a body.
    pub(crate) fn take(&self, side: Side, data: &[u8]) {
        let mut tapped = self.side(side);
        if tapped.bytes.len() + data.len() > self.largest {
            tapped.unreadable = true;
            tapped.bytes = Vec::new();
        }
        if !tapped.unreadable {
            tapped.bytes.extend_from_slice(data);
        }
    }

    /// Calls `tell` with each of the fields that the request's body has.
    pub(crate) fn request(&self, pointers: &[String], tell: impl FnMut(&str, &str)) {
        self.fields(Side::Request, pointers, tell);
    }

    /// Calls `tell` with each of the fields that the response's body has.
    pub(crate) fn response(&self, pointers: &[String], tell: impl FnMut(&str, &str)) {
        self.fields(Side::Response, pointers, tell);
    }

    fn fields(&self, side: Side, pointers: &[String], mut tell: impl FnMut(&str, &str)) {
        if pointers.is_empty() {
            return;
        }
        let tapped = self.side(side);
        if tapped.unreadable {
            // An empty value is not JSON, and so cannot be taken for one that was there.
            pointers.iter().for_each(|pointer| tell(pointer, ""));
            return;
        }
        let Ok(document) = serde_json::from_slice::<Value>(&tapped.bytes) else {
            return;
        };
        for pointer in pointers {
            if let Some(value) = document.pointer(pointer) {
                // What is named can be an object, with secrets in it that nobody named.
                tell(pointer, &without_secrets(value).to_string());
            }
        }
    }
}

/// Whether a body can be read as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let name = media.unwrap_or_default().split(';').next();
    let name = name.unwrap_or_default().trim().to_ascii_lowercase();
    let coded = headers.contains_key(CONTENT_ENCODING);
    !coded && (name == "application/json" || name.ends_with("+json"))
}

/// A service behind an [`AuditTapLayer`](crate::AuditTapLayer).
#[derive(Clone, Debug)]
pub struct AuditTap<S> {
    inner: S,
}

impl<S> AuditTap<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for AuditTap<S>
where
    S: Service<Request<TapBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<TapBody<ResBody>>;
    type Error = S::Error;
    type Future = AuditTapFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let taps = request.extensions().get::<Arc<Taps>>().cloned();
        let tapped = taps.clone().filter(|_| is_json(request.headers()));
        let request = request.map(|body| TapBody::new(body, tapped, Side::Request));
        AuditTapFuture {
            response: self.inner.call(request),
            taps,
        }
    }
}

pin_project! {
    /// The response of an [`AuditTap`] service.
    #[derive(Debug)]
    pub struct AuditTapFuture<F> {
        #[pin]
        response: F,
        taps: Option<Arc<Taps>>,
    }
}

impl<F, B, E> Future for AuditTapFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<TapBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx))?;
        let tapped = this.taps.take().filter(|_| is_json(response.headers()));
        Poll::Ready(Ok(
            response.map(|body| TapBody::new(body, tapped, Side::Response))
        ))
    }
}
