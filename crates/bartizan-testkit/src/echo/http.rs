//! The HTTP echo, for axum and for plain hyper.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::{Countup, seen_json};

/// Larger request bodies are answered 413.
const BODY_LIMIT: usize = 1 << 20;
/// The protocol that `/upgrade` switches to: every byte comes back.
const UPGRADE: &str = "bartizan-echo";

/// The routes of [`HttpEcho`] as an axum router.
pub fn echo_router() -> Router {
    Router::new()
        .route_service("/echo", HttpEcho)
        .route_service("/stream/{count}", HttpEcho)
        .route_service("/stream/{count}/open", HttpEcho)
        .route_service("/upgrade", HttpEcho)
}

/// A service that says what it saw, in JSON; takes any body, so it runs under every host.
///
/// 1. `/stream/{count}` answers `count` lines, one per frame, and ends.
/// 2. `/stream/{count}/open` does not end: the answer stays open until the client leaves.
/// 3. `/upgrade` with `upgrade: bartizan-echo` switches protocols and then returns every byte;
///    without that header it answers 426.
/// 4. Everything else answers with `method`, `path`, `headers`, `body` and `context` (see
///    [`context_json`](crate::context_json)) as JSON. Values of credential headers are left out.
///    A request body over 1 MiB is answered 413.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpEcho;

impl<B> Service<Request<B>> for HttpEcho
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<EchoBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<EchoBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(async move { Ok(answer(request).await) })
    }
}

async fn answer<B>(request: Request<B>) -> Response<EchoBody>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = request.uri().path();
    if let Some(items) = path.strip_prefix("/stream/") {
        return match Countup::parse(items) {
            Some(items) => Response::new(EchoBody(Content::Stream(items))),
            None => status(StatusCode::NOT_FOUND),
        };
    }
    if path == "/upgrade" {
        return upgrade(request);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let seen = seen_json(
        parts.method.as_str(),
        parts.uri.path(),
        &parts.headers,
        &parts.extensions,
        &body.to_bytes(),
    );
    let mut response = Response::new(EchoBody(Content::Whole(Some(seen))));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn upgrade<B>(mut request: Request<B>) -> Response<EchoBody> {
    if !asks_for_echo(request.headers()) {
        return status(StatusCode::UPGRADE_REQUIRED);
    }
    let switched = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // Under a host that cannot upgrade, or once the client leaves, there is nobody to tell.
        let Ok(connection) = switched.await else {
            return;
        };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(connection));
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    });
    let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
    response
}

fn asks_for_echo(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value == UPGRADE)
}

fn status(status: StatusCode) -> Response<EchoBody> {
    let mut response = Response::new(EchoBody(Content::Whole(None)));
    *response.status_mut() = status;
    response
}

/// The body of an answer of [`HttpEcho`].
pub struct EchoBody(Content);

enum Content {
    Stream(Countup),
    Whole(Option<Bytes>),
}

impl Body for EchoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut self.get_mut().0 {
            Content::Stream(items) => {
                ready!(Pin::new(items).poll_item(cx)).map(|item| Bytes::from(format!("{item}\n")))
            }
            Content::Whole(bytes) => bytes.take(),
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Whole(None))
    }
}

impl fmt::Debug for EchoBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoBody").finish_non_exhaustive()
    }
}
