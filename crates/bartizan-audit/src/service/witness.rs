//! A witness over HTTP.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Code, Entrance, Protocol, Rejection, RejectionKind, SecurityContext};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tower_service::Service;

use crate::witness::{AddCheckpoint, AddKey, Answer, Call, LONGEST_REQUEST, Refusal, Witness};

/// How long the body of a request may take. It is small, and comes from a service near by.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Nobody has proven who they are, and the log is no public one.
const ANONYMOUS: Code = Code::new("audit.witness_anonymous");
/// The peer may not speak of this log.
const PEER: Code = Code::new("audit.witness_peer");
/// The request is none that a witness understands.
const REQUEST: Code = Code::new("audit.witness_request");
/// What was to be remembered could not be synced.
const STATE: Code = Code::new("audit.witness_state");

/// Answers for a [`Witness`] ([C2SP tlog-witness]), as a tower service.
///
/// Mount it on the service's own listener, so that neighbours witness each other over the mutual
/// TLS that they have: `Router::new().nest_service("/witness", WitnessService::new(witness))` on
/// axum, or by the path in front of any hyper service. The end of the path says what is asked.
///
/// | request | answer |
/// |---|---|
/// | `POST …/add-checkpoint` | 200 with the cosignature, once it is remembered |
/// | `POST …/add-key` | 200 with the epoch's number: follow the log to its next key, see [`AddKey`] |
/// | no request of that form, or an old size above the new | 400 `audit.witness_request` |
/// | nobody has proven who they are, and the log is no public one | 401 `audit.witness_anonymous` |
/// | the peer may not speak of this log | 403 `audit.witness_peer` |
/// | not signed by the key of the epoch that the witness follows | 403, with that epoch's number (`text/x.bartizan.epoch`) |
/// | no such log, no such path | 404 |
/// | the witness cosigned another size, or another root of this size | 409, with the size it cosigned (`text/x.tlog.size`) |
/// | a body above 64 KiB | 413 |
/// | the tree does not continue the one that was cosigned | 422 |
/// | what is to be remembered cannot be synced | 503 `audit.witness_state` |
///
/// The peer is read from the request's `SecurityContext`, or from its connection if no layer has
/// made one. A body that takes longer than 10 seconds is given up.
///
/// [C2SP tlog-witness]: https://c2sp.org/tlog-witness
#[derive(Clone, Debug)]
pub struct WitnessService(Witness);

impl WitnessService {
    /// Answers for this witness.
    #[must_use]
    pub fn new(witness: Witness) -> Self {
        Self(witness)
    }
}

impl<B> Service<Request<B>> for WitnessService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = WitnessFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> WitnessFuture {
        let witness = self.0.clone();
        WitnessFuture(Box::pin(async move {
            let (parts, body) = request.into_parts();
            answer(&witness, parts, body).await
        }))
    }
}

/// An answer of a witness that is being found. Boxed: there is one a second, not one per request.
#[must_use = "futures do nothing unless polled"]
pub struct WitnessFuture(Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>);

impl Future for WitnessFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for WitnessFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WitnessFuture")
    }
}

/// What the end of a path asks for.
type Read = fn(&[u8]) -> Option<Call>;

async fn answer<B>(witness: &Witness, mut parts: Parts, body: B) -> Response<Full<Bytes>>
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let read: Read = match parts.uri.path().rsplit('/').next() {
        Some("add-checkpoint") => |body| AddCheckpoint::parse(body).map(Call::Checkpoint),
        Some("add-key") => |body| AddKey::parse(body).map(Call::Key),
        _ => return plain(StatusCode::NOT_FOUND, String::new()),
    };
    if parts.method != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED, String::new());
    }
    let context = match SecurityContext::of(&parts.extensions) {
        Some(context) => context.clone(),
        None => Entrance::open(None, &mut parts, Protocol::Http).0,
    };
    let peer = context.peer();
    // Nobody's body is read who may not say anything.
    if !witness.knows(peer) {
        let answer = match peer {
            Some(_) => Answer::Foreign,
            None => Answer::Anonymous,
        };
        return rendered(answer);
    }
    let body = Limited::new(body, LONGEST_REQUEST).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return refused(RejectionKind::TooLarge, REQUEST, "the body is too long");
        }
        Ok(Err(_)) => return refused(RejectionKind::Malformed, REQUEST, "the body broke off"),
        Err(_) => return refused(RejectionKind::Timeout, REQUEST, "the body took too long"),
    };
    match read(&body) {
        Some(call) => rendered(witness.answer(peer, call).await),
        None => rendered(Answer::Refused(Refusal::Malformed)),
    }
}

fn rendered(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Cosigned(line) => plain(StatusCode::OK, line),
        Answer::Following(epoch) => numbered(StatusCode::OK, EPOCH, epoch.into()),
        Answer::Unknown => plain(StatusCode::NOT_FOUND, String::new()),
        Answer::Anonymous => refused(
            RejectionKind::Unauthenticated,
            ANONYMOUS,
            "a witness answers to peers that it knows",
        ),
        Answer::Foreign => refused(
            RejectionKind::Forbidden,
            PEER,
            "the peer may not speak of this log",
        ),
        Answer::Failed => refused(
            RejectionKind::Unavailable,
            STATE,
            "the witness cannot remember anything at present",
        ),
        Answer::Refused(Refusal::Malformed) => refused(
            RejectionKind::Malformed,
            REQUEST,
            "the request has not the form of one",
        ),
        Answer::Refused(Refusal::Untrusted(epoch)) => {
            numbered(StatusCode::FORBIDDEN, EPOCH, epoch.into())
        }
        //= C2SP tlog-witness: The response MUST have a Content-Type of text/x.tlog.size.
        Answer::Refused(Refusal::Conflict(size) | Refusal::Forked(size)) => {
            numbered(StatusCode::CONFLICT, SIZE, size)
        }
        Answer::Refused(Refusal::Inconsistent) => {
            plain(StatusCode::UNPROCESSABLE_ENTITY, String::new())
        }
    }
}

const EPOCH: HeaderValue = HeaderValue::from_static("text/x.bartizan.epoch");
const SIZE: HeaderValue = HeaderValue::from_static("text/x.tlog.size");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    typed(status, TEXT, text)
}

fn numbered(status: StatusCode, content: HeaderValue, number: u64) -> Response<Full<Bytes>> {
    typed(status, content, format!("{number}\n"))
}

fn typed(status: StatusCode, content: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content);
    response
}

fn refused(kind: RejectionKind, code: Code, detail: &'static str) -> Response<Full<Bytes>> {
    let rejection = Rejection::new(kind, code).with_detail(detail);
    let response = rejection.into_response(Protocol::Http);
    response.map(|body| Full::new(body.into_bytes()))
}
