//! One request, one answer, within limits.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_ENCODING, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::https::body;
use crate::https::config::HttpsFetcherBuilder;
use crate::https::connect::connect;
use crate::https::error::{FetchError, FetchErrorKind};
use crate::https::request::{FetchRequest, Fetched};
use crate::https::target::Target;

/// Fetches over HTTPS within limits: for key sets, discovery documents, introspection.
///
/// 1. Only `https` URLs; `http` to loopback where
///    [`allow_plaintext_loopback`](HttpsFetcherBuilder::allow_plaintext_loopback) permits it. No
///    user name in the URL. No proxy, no cookie, no environment variable.
/// 2. One connection per fetch, HTTP/1.1: there is no pool whose state could outlive a change of
///    roots. Fetches are rare; a crate that needs many should cache.
/// 3. Name lookup, TCP and TLS end within the connect timeout, everything within the deadline,
///    however slowly the server drips.
/// 4. Only status 200 is an answer, unless a request
///    [allows others](FetchRequest::allow_any_status). A redirect is an error: following one would let the server
///    choose whom we ask.
/// 5. A head or body beyond its limit is refused, announced or not. Compressed bodies are
///    refused: we ask for none, and a small one can expand without end.
///
/// ```
/// use bartizan_source::{FetchErrorKind, HttpsFetcher};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fetcher = HttpsFetcher::builder().build()?;
/// fetcher.check_url("https://issuer.example/keys")?;
///
/// let refused = fetcher.get("http://issuer.example/keys").await.expect_err("plaintext");
/// assert_eq!(refused.kind(), FetchErrorKind::Scheme);
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone.
#[derive(Clone)]
pub struct HttpsFetcher(Arc<Settings>);

pub(super) struct Settings {
    pub(super) deadline: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) body_limit: usize,
    pub(super) tls: TlsConnector,
    pub(super) plaintext_loopback: bool,
}

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("bartizan/", env!("CARGO_PKG_VERSION")));
const HEAD_LIMIT: usize = 32 * 1024;
const HEADER_COUNT_LIMIT: usize = 64;

impl HttpsFetcher {
    /// Begins a description with the defaults.
    pub fn builder() -> HttpsFetcherBuilder {
        HttpsFetcherBuilder::new()
    }

    pub(super) fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }

    /// Whether this fetcher would go to `url` at all: for checking a configuration early.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](FetchErrorKind::InvalidUrl) or [`Scheme`](FetchErrorKind::Scheme).
    pub fn check_url(&self, url: &str) -> Result<(), FetchError> {
        Target::parse(url, self.0.plaintext_loopback).map(drop)
    }

    /// Fetches `url`.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    pub async fn get(&self, url: &str) -> Result<Fetched, FetchError> {
        self.fetch(FetchRequest::get(url)).await
    }

    /// Sends the request and reads the whole answer. Dropping the future ends the connection.
    ///
    /// # Errors
    ///
    /// See [`FetchErrorKind`]. Nothing is retried.
    pub async fn fetch(&self, request: FetchRequest<'_>) -> Result<Fetched, FetchError> {
        let target = Target::parse(request.url, self.0.plaintext_loopback)?;
        let deadline = self.0.deadline;
        timeout(deadline, self.exchange(&target, request))
            .await
            .unwrap_or_else(|_elapsed| {
                let message = format!("{} did not answer within {deadline:?}", target.authority);
                Err(FetchError::new(FetchErrorKind::Deadline, message))
            })
    }

    async fn exchange(
        &self,
        target: &Target,
        request: FetchRequest<'_>,
    ) -> Result<Fetched, FetchError> {
        let failed = |error: hyper::Error| classify(target, error);
        let connect_timeout = self.0.connect_timeout;
        let connection = timeout(connect_timeout, connect(target, &self.0.tls))
            .await
            .unwrap_or_else(|_| {
                let message = format!(
                    "no connection to {} within {connect_timeout:?}",
                    target.authority
                );
                Err(FetchError::new(FetchErrorKind::Connect, message))
            })?;
        let (mut sender, driver) = http1::Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .max_headers(HEADER_COUNT_LIMIT)
            .handshake(TokioIo::new(connection))
            .await
            .map_err(failed)?;
        // Aborted when this future ends or is dropped, whichever way.
        let mut driving = JoinSet::new();
        driving.spawn(driver);
        let any_status = request.any_status;
        let response = sender
            .send_request(head(target, request)?)
            .await
            .map_err(failed)?;
        accept(target, &response, any_status)?;
        let (parts, incoming) = response.into_parts();
        let body = body::collect(incoming, self.0.body_limit, failed).await?;
        Ok(Fetched::new(parts.status, parts.headers, body))
    }
}

impl fmt::Debug for HttpsFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsFetcher")
            .field("deadline", &self.0.deadline)
            .field("connect_timeout", &self.0.connect_timeout)
            .field("body_limit", &self.0.body_limit)
            .field("plaintext_loopback", &self.0.plaintext_loopback)
            .finish_non_exhaustive()
    }
}

fn head(
    target: &Target,
    request: FetchRequest<'_>,
) -> Result<Request<Full<bytes::Bytes>>, FetchError> {
    let host = HeaderValue::from_str(&target.authority).map_err(|error| {
        FetchError::caused(
            FetchErrorKind::InvalidUrl,
            "the host is no header value",
            error,
        )
    })?;
    let mut head = Request::new(Full::new(request.body));
    *head.method_mut() = request.method;
    *head.uri_mut() = target.path.clone();
    *head.headers_mut() = request.headers;
    head.headers_mut().insert(HOST, host);
    head.headers_mut().insert(USER_AGENT, AGENT);
    head.headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(head)
}

/// Refuses everything but a plain 200, or, if asked to, everything but what is not plain.
fn accept(
    target: &Target,
    response: &Response<Incoming>,
    any_status: bool,
) -> Result<(), FetchError> {
    let status = response.status();
    let host = &target.authority;
    if status.is_redirection() {
        let message = format!("{host} redirects with status {status}");
        return Err(FetchError::new(FetchErrorKind::Redirect, message).with_status(status, None));
    }
    if status != StatusCode::OK && !any_status {
        let message = format!("{host} answers with status {status}");
        let retry_after = retry_after(response.headers());
        return Err(
            FetchError::new(FetchErrorKind::Status, message).with_status(status, retry_after)
        );
    }
    let plain = response
        .headers()
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !plain {
        let message = format!("{host} sends a compressed body");
        return Err(FetchError::new(FetchErrorKind::Encoding, message));
    }
    Ok(())
}

/// The delay in seconds of RFC 9110 section 10.2.3; its other form, a date, is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Tells a refusal by TLS, which may come after the handshake, from broken HTTP.
fn classify(target: &Target, error: hyper::Error) -> FetchError {
    let host = &target.authority;
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(link) = cause {
        let inner = link
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            let message = format!("TLS with {host} failed");
            return FetchError::caused(FetchErrorKind::Tls, message, error);
        }
        cause = link.source();
    }
    let message = format!("the answer of {host} is not HTTP within limits, or broke off");
    FetchError::caused(FetchErrorKind::Protocol, message, error)
}
