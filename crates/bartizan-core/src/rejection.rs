//! The refusal that a client sees, and the one table that gives it a status.

mod decimal;
mod grpc;
mod problem;
mod render;

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::challenge::Challenge;
use crate::code::Code;
use crate::decision::Outcome;

pub use self::render::RejectionBody;

/// The refusal that a client sees.
///
/// It has two audiences. The client gets the kind's status, the stable [`Code`], a fixed public
/// sentence, challenges and a time to retry. The log gets the cause, which is never sent.
///
/// [`into_response`](Self::into_response) renders it for the protocol of the request: problem
/// details ([RFC 9457]) for HTTP, a trailers-only response with `google.rpc` details for gRPC.
///
/// ```
/// use bartizan_core::{Code, Protocol, Rejection, RejectionKind};
///
/// let refused = Rejection::new(RejectionKind::Forbidden, Code::new("authz.no_rule"));
/// let response = refused.into_response(Protocol::Http);
/// assert_eq!(response.status(), 403);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
///
/// [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
pub struct Rejection(Box<Refusal>);

struct Refusal {
    kind: RejectionKind,
    code: Code,
    detail: Option<&'static str>,
    challenges: Vec<Challenge>,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Rejection {
    /// A refusal of this kind, for the reason that `code` names.
    pub fn new(kind: RejectionKind, code: Code) -> Self {
        Self(Box::new(Refusal {
            kind,
            code,
            detail: None,
            challenges: Vec::new(),
            retry_after: None,
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// Sets the sentence that the client reads. It is fixed text, so that it cannot carry a
    /// secret or anything that the client sent.
    #[must_use]
    pub fn with_detail(mut self, detail: &'static str) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// Adds a challenge: a `WWW-Authenticate` header, and metadata of that name for gRPC.
    #[must_use]
    pub fn with_challenge(mut self, challenge: Challenge) -> Self {
        self.0.challenges.push(challenge);
        self
    }

    /// Adds what another refusal would have the client bring.
    #[must_use]
    pub(crate) fn with_challenges_of(mut self, other: Self) -> Self {
        self.0.challenges.extend(other.0.challenges);
        self
    }

    /// Sets when the client may try again. Sent in whole seconds, rounded up, as `Retry-After`,
    /// and exactly as `google.rpc.RetryInfo` for gRPC.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds a response header, and metadata of that name for gRPC.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Keeps what led to the refusal, for logs. It is never sent to the client.
    #[must_use]
    pub fn with_cause(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The kind, which decides the status.
    pub fn kind(&self) -> RejectionKind {
        self.0.kind
    }

    /// The stable reason.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence that the client reads.
    pub fn detail(&self) -> &'static str {
        self.0.detail.unwrap_or_else(|| self.0.kind.title())
    }

    /// When the client may try again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// How the decision that led here counts: refused, or could not be decided.
    pub fn outcome(&self) -> Outcome {
        match self.0.kind {
            RejectionKind::BadGateway
            | RejectionKind::Unavailable
            | RejectionKind::DeadlineExceeded
            | RejectionKind::Internal => Outcome::CouldNotDecide,
            _ => Outcome::Denied,
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.0.kind)
            .field("code", &self.0.code)
            .field("retry_after", &self.0.retry_after)
            .field("cause", &self.0.cause)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.detail())
    }
}

impl std::error::Error for Rejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

/// The kind of a refusal.
///
/// The one table that maps a refusal to an HTTP status and a gRPC code; nothing else in the
/// family decides a status.
///
/// | kind | HTTP | gRPC |
/// |---|---|---|
/// | `BadGateway` | 502 | `UNAVAILABLE` (14) |
/// | `DeadlineExceeded` | 504 | `DEADLINE_EXCEEDED` (4) |
/// | `Forbidden` | 403 | `PERMISSION_DENIED` (7) |
/// | `HeadersTooLarge` | 431 | `RESOURCE_EXHAUSTED` (8) |
/// | `Internal` | 500 | `INTERNAL` (13) |
/// | `Malformed` | 400 | `INVALID_ARGUMENT` (3) |
/// | `Misdirected` | 421 | `PERMISSION_DENIED` (7) |
/// | `RateLimited` | 429 | `RESOURCE_EXHAUSTED` (8) |
/// | `Timeout` | 408 | `DEADLINE_EXCEEDED` (4) |
/// | `TooLarge` | 413 | `RESOURCE_EXHAUSTED` (8) |
/// | `Unauthenticated` | 401 | `UNAUTHENTICATED` (16) |
/// | `Unavailable` | 503 | `UNAVAILABLE` (14) |
/// | `UnsupportedMedia` | 415 | `INVALID_ARGUMENT` (3) |
/// | `UriTooLong` | 414 | `INVALID_ARGUMENT` (3) |
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The service behind this one is away, or what it answered is no answer. For gateways, of
    /// which the one behind is not a dependency but what the request is for.
    BadGateway,
    /// Something this request waited for did not answer in time.
    DeadlineExceeded,
    /// The caller is known and may not do this.
    Forbidden,
    /// The request's headers are larger than allowed.
    HeadersTooLarge,
    /// A fault of ours.
    Internal,
    /// The request is not well formed.
    Malformed,
    /// The request reached a host or connection that does not serve it.
    Misdirected,
    /// The caller has used up what it may.
    RateLimited,
    /// The client did not send its request in time.
    Timeout,
    /// The request's body is larger than allowed.
    TooLarge,
    /// The caller is unknown: no credential, or one that does not hold.
    Unauthenticated,
    /// The credential could not be checked, or a dependency is away. Never an authentication
    /// failure: the client should keep its credential and try again.
    Unavailable,
    /// The content type or coding is not accepted.
    UnsupportedMedia,
    /// The request's target is longer than allowed.
    UriTooLong,
}

impl RejectionKind {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
        }
    }

    /// The gRPC status code.
    pub const fn grpc_code(self) -> u8 {
        match self {
            Self::Malformed | Self::UnsupportedMedia | Self::UriTooLong => 3,
            Self::DeadlineExceeded | Self::Timeout => 4,
            Self::Forbidden | Self::Misdirected => 7,
            Self::HeadersTooLarge | Self::RateLimited | Self::TooLarge => 8,
            Self::Internal => 13,
            Self::BadGateway | Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// The problem's title for people, the same for every occurrence of the kind.
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadGateway => "the service behind did not answer properly",
            Self::DeadlineExceeded => "the deadline passed before the request was decided",
            Self::Forbidden => "the caller may not do this",
            Self::HeadersTooLarge => "the request headers are too large",
            Self::Internal => "internal error",
            Self::Malformed => "the request is malformed",
            Self::Misdirected => "the request was sent to the wrong place",
            Self::RateLimited => "the caller sends too many requests",
            Self::Timeout => "the request did not arrive in time",
            Self::TooLarge => "the request body is too large",
            Self::Unauthenticated => "the caller is not authenticated",
            Self::Unavailable => "the request cannot be decided at present",
            Self::UnsupportedMedia => "the content type is not supported",
            Self::UriTooLong => "the request target is too long",
        }
    }
}
