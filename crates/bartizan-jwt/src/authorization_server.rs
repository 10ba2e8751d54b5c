//! Asking an authorization server: one form, one answer, within limits.

mod assertion;
mod authentication;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Clock;
use bartizan_source::{FetchErrorKind, FetchRequest, Fetched, HttpsFetcher, Roots};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use zeroize::{Zeroize, Zeroizing};

pub use self::authentication::ClientAuthentication;
use crate::error::ConfigError;
use crate::issuer;
use crate::oauth_error::OAuthError;

/// The longest answer in bytes: one with a token of 16 KiB and what is said of it.
const MAX_ANSWER: usize = 64 * 1024;

/// The longest time that a server may ask to be left alone for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// One endpoint of an authorization server, and how this service authenticates there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    url: Arc<str>,
    fetcher: HttpsFetcher,
    authentication: ClientAuthentication,
}

/// Why an endpoint gave no answer that can be used.
#[derive(Clone, Debug)]
pub(crate) enum Unanswered {
    /// What came back is not what the endpoint should answer.
    BadAnswer(&'static str),
    /// The server was reached, and says no.
    Refused(OAuthError),
    /// The server was not reached, or cannot answer at present.
    Unreachable {
        cause: Arc<dyn std::error::Error + Send + Sync>,
        /// There was no connection at all, whatever was to be asked.
        is_connection: bool,
        retry_after: Option<Duration>,
    },
}

impl Endpoint {
    /// An endpoint at this URL; reached over HTTPS, or over plain HTTP on loopback.
    pub(crate) fn new(
        url: &str,
        authentication: ClientAuthentication,
        roots: Option<Roots>,
        fetcher: Option<HttpsFetcher>,
    ) -> Result<Self, ConfigError> {
        if let Some(problem) = issuer::check(url) {
            return Err(ConfigError::InvalidEndpoint {
                location: url.to_owned(),
                problem,
            });
        }
        authentication.check()?;
        // Whoever authenticates by a certificate brings the connections that present it.
        let fetcher = match authentication.fetcher().cloned().or(fetcher) {
            Some(fetcher) => fetcher,
            None => {
                let mut builder = HttpsFetcher::builder().with_body_limit(MAX_ANSWER);
                if let Some(roots) = roots {
                    builder = builder.with_roots(roots);
                }
                if url.starts_with("http://") {
                    builder = builder.allow_plaintext_loopback();
                }
                let built = builder.build();
                built.map_err(|error| ConfigError::Transport(error.into()))?
            }
        };
        fetcher
            .check_url(url)
            .map_err(|error| ConfigError::Transport(error.into()))?;
        Ok(Self {
            url: url.into(),
            fetcher,
            authentication,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends `fields`, and gives the JSON of the answer.
    pub(crate) async fn ask(
        &self,
        fields: &[(&str, &str)],
        clock: &dyn Clock,
    ) -> Result<Zeroizing<Vec<u8>>, Unanswered> {
        let no_proof = Unanswered::BadAnswer("no random bytes for an assertion");
        let proof = self.authentication.prove(&self.url, clock.wall());
        let proof = proof.ok_or(no_proof)?;
        let own = proof
            .fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let all: Vec<_> = fields.iter().copied().chain(own).collect();
        let mut request = FetchRequest::post_form(&self.url, &all)
            .with_accept(HeaderValue::from_static("application/json"))
            .allow_any_status();
        if let Some(credentials) = &proof.basic {
            let value = HeaderValue::from_str(credentials)
                .map_err(|_| Unanswered::BadAnswer("the credentials are no header value"))?;
            request = request.with_authorization(value);
        }
        let answer = self.fetcher.fetch(request).await;
        read(answer.map_err(|error| Unanswered::Unreachable {
            retry_after: error.retry_after(),
            is_connection: matches!(
                error.kind(),
                FetchErrorKind::Connect | FetchErrorKind::Resolve | FetchErrorKind::Tls
            ),
            cause: Arc::new(error),
        })?)
    }
}

fn read(answer: Fetched) -> Result<Zeroizing<Vec<u8>>, Unanswered> {
    let status = answer.status();
    let is_json = is_json(answer.headers());
    let retry_after = retry_after(answer.headers());
    let body = take(answer);
    let unreachable = |retry_after| Unanswered::Unreachable {
        cause: Arc::new(UnexpectedStatus(status)),
        is_connection: false,
        retry_after,
    };
    if body.len() > MAX_ANSWER {
        return Err(Unanswered::BadAnswer("the answer is too large"));
    }
    match status {
        StatusCode::OK if is_json => Ok(body),
        StatusCode::OK => Err(Unanswered::BadAnswer("the answer is not JSON by its type")),
        //= RFC 6749 §5.2: The authorization server responds with an HTTP 400 (Bad Request) [...]
        //= RFC 6749 §5.2: MAY return an HTTP 401 (Unauthorized) status code to indicate which HTTP
        //= authentication schemes are supported.
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let stated = is_json.then(|| OAuthError::read(&body)).flatten();
            Err(match stated {
                Some(OAuthError::ServerError | OAuthError::TemporarilyUnavailable) => {
                    unreachable(retry_after)
                }
                Some(stated) => Unanswered::Refused(stated),
                None if status == StatusCode::UNAUTHORIZED => {
                    Unanswered::Refused(OAuthError::InvalidClient)
                }
                // A proxy or firewall on the way, which knows nothing of tokens.
                None => Unanswered::BadAnswer("the server refuses without saying why"),
            })
        }
        _ => Err(unreachable(retry_after)),
    }
}

/// The bytes of the answer, in memory that is wiped. What the fetch was read into is wiped as far
/// as nobody else holds it.
fn take(answer: Fetched) -> Zeroizing<Vec<u8>> {
    let body = answer.into_body();
    let copy = Zeroizing::new(body.to_vec());
    if let Ok(mut owned) = body.try_into_mut() {
        owned.zeroize();
    }
    copy
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut stated = headers.get_all(CONTENT_TYPE).iter();
    let (Some(one), None) = (stated.next(), stated.next()) else {
        return false;
    };
    let media_type = one.as_bytes().split(|byte| *byte == b';').next();
    let media_type = media_type.unwrap_or_default().trim_ascii();
    media_type.eq_ignore_ascii_case(b"application/json")
}

/// The delay in seconds of [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// A status that says nothing of the request.
#[derive(Debug, thiserror::Error)]
#[error("the server answers with status {0}")]
struct UnexpectedStatus(StatusCode);

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAnswer(problem) => f.write_str(problem),
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::Unreachable { cause, .. } => write!(f, "{cause}"),
        }
    }
}
