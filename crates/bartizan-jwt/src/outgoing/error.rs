//! Why an outgoing call has no token.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Challenge, Code, Rejection, RejectionKind};

use crate::authorization_server::Unanswered;
use crate::oauth_error::OAuthError;

/// What went wrong with an outgoing call: in the service that is called, or before it was.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a call is made, or it is not")]
pub enum OutgoingError<E> {
    /// The inner service failed.
    Inner(E),
    /// There was no token to send. The inner service was not called.
    Token(TokenError),
}

impl<E: Error + 'static> Error for OutgoingError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Token(error) => Some(error),
        }
    }
}

impl<E> fmt::Display for OutgoingError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inner(_) => "the call failed",
            Self::Token(_) => "there is no token for the call",
        })
    }
}

/// Why there is no token to send with a call.
///
/// Its text never holds any part of a token or secret, nor what a server said in its own words. A
/// handler that cannot go on without the call returns it as the [`Rejection`] that it converts
/// into; for gRPC, feature `tonic`, a client's `Status` carries that refusal's code.
#[derive(Clone)]
pub struct TokenError(Arc<Facts>);

struct Facts {
    kind: TokenErrorKind,
    refusal: Option<OAuthError>,
    cause: Option<Unanswered>,
    #[cfg(feature = "tonic")]
    status: std::sync::OnceLock<tonic::Status>,
}

/// The reasons why there is no token to send with a call.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The caller's token is bound to its key or certificate, so that only the caller can use it.
    BoundToken,
    /// The caller's token has ended since the request came.
    CallerExpired,
    /// The call goes somewhere that may not be sent a token.
    DestinationNotAllowed,
    /// The authorization server answered with something that is no token.
    InvalidResponse,
    /// The call carries no [`CallerToken`](crate::CallerToken).
    NoCaller,
    /// As many tokens as may be are being asked for already.
    Overloaded,
    /// The authorization server refused; see [`TokenError::oauth_error`].
    Refused,
    /// The authorization server was not reached, or cannot answer at present.
    Unavailable,
}

impl TokenErrorKind {
    /// The stable code, which clients and dashboards may rely on.
    pub const fn code(self) -> Code {
        match self {
            Self::BoundToken => const { Code::new("outgoing.bound_token") },
            Self::CallerExpired => const { Code::new("outgoing.caller_expired") },
            Self::DestinationNotAllowed => const { Code::new("outgoing.destination_not_allowed") },
            Self::InvalidResponse => const { Code::new("outgoing.invalid_response") },
            Self::NoCaller => const { Code::new("outgoing.no_caller") },
            Self::Overloaded => const { Code::new("outgoing.overloaded") },
            Self::Refused => const { Code::new("outgoing.refused") },
            Self::Unavailable => const { Code::new("outgoing.unavailable") },
        }
    }

    const fn phrase(self) -> &'static str {
        match self {
            Self::BoundToken => "the caller's token is bound, and only the caller can use it",
            Self::CallerExpired => "the caller's token has ended",
            Self::DestinationNotAllowed => "the call goes where no token may go",
            Self::InvalidResponse => "the authorization server gave no token",
            Self::NoCaller => "the call carries no verified token of a caller",
            Self::Overloaded => "as many tokens as may be are being asked for",
            Self::Refused => "the authorization server refused",
            Self::Unavailable => "the authorization server cannot be asked at present",
        }
    }
}

impl TokenError {
    pub(super) fn new(kind: TokenErrorKind) -> Self {
        Self::with(kind, None, None)
    }

    pub(super) fn invalid_response(problem: &'static str) -> Self {
        Unanswered::BadAnswer(problem).into()
    }

    fn with(kind: TokenErrorKind, refusal: Option<OAuthError>, cause: Option<Unanswered>) -> Self {
        Self(Arc::new(Facts {
            kind,
            refusal,
            cause,
            #[cfg(feature = "tonic")]
            status: std::sync::OnceLock::new(),
        }))
    }

    /// Why.
    pub fn kind(&self) -> TokenErrorKind {
        self.0.kind
    }

    /// The stable code of the reason.
    pub fn code(&self) -> Code {
        self.kind().code()
    }

    /// What the authorization server said when it refused: one of the codes of [RFC 6749 §5.2],
    /// `invalid_target`, or `other`.
    ///
    /// [RFC 6749 §5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
    pub fn oauth_error(&self) -> Option<&'static str> {
        self.0.refusal.map(OAuthError::name)
    }

    /// Whether it is about the token that was to be exchanged, or what was asked for with it, and
    /// not about this service or the authorization server.
    pub(super) fn is_about_the_caller(&self) -> bool {
        matches!(
            self.0.refusal,
            Some(
                OAuthError::InvalidGrant
                    | OAuthError::InvalidRequest
                    | OAuthError::InvalidScope
                    | OAuthError::InvalidTarget
                    | OAuthError::Other
            )
        )
    }

    /// Whether it would have been the same for every caller: the server cannot be connected to, asks
    /// to be left alone, or does not know this service.
    pub(super) fn is_about_the_server(&self) -> bool {
        let is_down = match &self.0.cause {
            Some(Unanswered::Unreachable {
                is_connection,
                retry_after,
                ..
            }) => *is_connection || retry_after.is_some(),
            _ => false,
        };
        is_down || self.kind() == TokenErrorKind::Refused && !self.is_about_the_caller()
    }

    /// How long the authorization server asked to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match &self.0.cause {
            Some(Unanswered::Unreachable { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}

impl From<Unanswered> for TokenError {
    fn from(cause: Unanswered) -> Self {
        let (kind, refusal) = match &cause {
            Unanswered::BadAnswer(_) => (TokenErrorKind::InvalidResponse, None),
            Unanswered::Refused(error) => (TokenErrorKind::Refused, Some(*error)),
            Unanswered::Unreachable { .. } => (TokenErrorKind::Unavailable, None),
        };
        Self::with(kind, refusal, Some(cause))
    }
}

impl From<TokenError> for Rejection {
    /// What a handler answers its own client that cannot go on without the call.
    ///
    /// What the caller may not do is forbidden; what cannot be decided at present is
    /// unavailable; and what is wrong with this service is its own fault.
    fn from(error: TokenError) -> Self {
        let (kind, detail) = match error.kind() {
            TokenErrorKind::BoundToken => (
                RejectionKind::Forbidden,
                "the token is bound and cannot be passed on",
            ),
            TokenErrorKind::CallerExpired => (
                RejectionKind::Unauthenticated,
                "the bearer token is not valid",
            ),
            TokenErrorKind::Refused if error.is_about_the_caller() => (
                RejectionKind::Forbidden,
                "the caller may not have this done on its behalf",
            ),
            TokenErrorKind::DestinationNotAllowed
            | TokenErrorKind::NoCaller
            | TokenErrorKind::Refused => (RejectionKind::Internal, "internal error"),
            TokenErrorKind::InvalidResponse
            | TokenErrorKind::Overloaded
            | TokenErrorKind::Unavailable => (
                RejectionKind::Unavailable,
                "a service that this one depends on is away",
            ),
        };
        let mut rejection = Self::new(kind, error.code()).with_detail(detail);
        match kind {
            RejectionKind::Unauthenticated => {
                let challenge = Challenge::new("Bearer").with_param("error", "invalid_token");
                rejection = rejection.with_challenge(challenge);
            }
            RejectionKind::Unavailable => {
                let wait = error.retry_after().unwrap_or(Duration::from_secs(5));
                rejection = rejection.with_retry_after(wait);
            }
            _ => {}
        }
        rejection.with_cause(Plain(error))
    }
}

/// The error itself as a cause, without the status that may be made of it.
#[derive(Debug)]
struct Plain(TokenError);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Plain {}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenError({self})")
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().phrase())?;
        match &self.0.cause {
            None => Ok(()),
            Some(cause) => write!(f, ": {cause}"),
        }
    }
}

impl Error for TokenError {
    /// With feature `tonic`, a `tonic::Status`: tonic's clients look for one among the sources of
    /// what a channel fails with, and hand it to whoever made the call.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        #[cfg(feature = "tonic")]
        {
            let status = self
                .0
                .status
                .get_or_init(|| Rejection::from(self.clone()).into());
            Some(status)
        }
        #[cfg(not(feature = "tonic"))]
        None
    }
}
