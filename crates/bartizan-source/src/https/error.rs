//! Why a fetch failed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::error::BoxError;

/// Why a fetch failed.
///
/// The message names the host, and never the path, the query, a header or the body: each of them
/// may hold a secret.
pub struct FetchError {
    kind: FetchErrorKind,
    message: String,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    cause: Option<BoxError>,
}

/// What kind of thing made a fetch fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// No connection: refused, unreachable, or not made within the connect timeout.
    Connect,
    /// The whole fetch took longer than its deadline.
    Deadline,
    /// The body is compressed, which was not asked for.
    Encoding,
    /// The URL cannot be parsed, has no host, or carries a user name.
    InvalidUrl,
    /// What came back is not HTTP, has a head beyond the limit, or broke off.
    Protocol,
    /// The server wants to send us elsewhere, where we do not go.
    Redirect,
    /// The host's name could not be resolved.
    Resolve,
    /// The URL is neither `https` nor permitted plaintext.
    Scheme,
    /// The server answered with a status other than 200.
    Status,
    /// The TLS handshake failed: wrong name, unknown root, expired certificate, ...
    Tls,
    /// The body exceeds its limit.
    TooLarge,
}

impl FetchError {
    pub(super) fn new(kind: FetchErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
            retry_after: None,
            cause: None,
        }
    }

    pub(super) fn caused(
        kind: FetchErrorKind,
        message: impl Into<String>,
        cause: impl Into<BoxError>,
    ) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(kind, message)
        }
    }

    pub(super) fn with_status(mut self, status: StatusCode, retry_after: Option<Duration>) -> Self {
        self.status = Some(status);
        self.retry_after = retry_after;
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    /// The status that the server sent, for [`Redirect`](FetchErrorKind::Redirect) and
    /// [`Status`](FetchErrorKind::Status).
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// How long the server asks to be left alone, if it says so in seconds. It may ask for
    /// anything: bound it before obeying.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("status", &self.status)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(&**cause),
            None => None,
        }
    }
}
