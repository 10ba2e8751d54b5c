//! How a refusal looks to the client: the one place where this crate makes one.

use std::time::Duration;

use bartizan_core::{Challenge, Rejection, RejectionKind};

use crate::error::{ApiKeyError, ApiKeyErrorKind};

/// When a client may come back after its key could not be checked: about when the store has been
/// asked again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What challenges say of this service.
#[derive(Clone, Debug)]
pub(crate) struct Refusals {
    pub(crate) realm: Box<str>,
    /// The field that a key belongs in.
    pub(crate) header: Box<str>,
}

impl Refusals {
    /// The refusal that the client sees.
    ///
    /// Absent, bad and uncheckable keys are three outcomes: 401 with a bare challenge, 401 with an
    /// error, 503 without a challenge. A request that carries keys wrongly is malformed, and a key
    /// that is good, and used from where it must not be, is forbidden.
    pub(crate) fn refuse(&self, error: ApiKeyError) -> Rejection {
        let rejection = |kind, detail| Rejection::new(kind, error.code()).with_detail(detail);
        let rejection = match error.kind() {
            ApiKeyErrorKind::KeysUnavailable => rejection(
                RejectionKind::Unavailable,
                "the API key cannot be checked at present",
            )
            .with_retry_after(RETRY_AFTER),
            ApiKeyErrorKind::Missing => {
                rejection(RejectionKind::Unauthenticated, "an API key is required")
                    .with_challenge(self.challenge())
            }
            ApiKeyErrorKind::InUrl => rejection(
                RejectionKind::Malformed,
                "a URL is no place for an API key: it has leaked and must be revoked",
            ),
            ApiKeyErrorKind::MalformedCredentials | ApiKeyErrorKind::MultipleKeys => {
                rejection(RejectionKind::Malformed, "exactly one API key is required")
                    .with_challenge(self.challenge().with_param("error", "invalid_request"))
            }
            ApiKeyErrorKind::AddressNotAllowed => rejection(
                RejectionKind::Forbidden,
                "the API key may not be used from this address",
            ),
            ApiKeyErrorKind::Mistyped => {
                self.invalid(error, "the API key is mistyped: its checksum does not fit")
            }
            ApiKeyErrorKind::WrongEnvironment => {
                self.invalid(error, "the API key is for another environment")
            }
            ApiKeyErrorKind::Expired => self.invalid(error, "the API key has expired"),
            ApiKeyErrorKind::Revoked => self.invalid(error, "the API key was revoked"),
            _ => self.invalid(error, "the API key is not valid"),
        };
        rejection.with_cause(error)
    }

    fn invalid(&self, error: ApiKeyError, detail: &'static str) -> Rejection {
        Rejection::new(RejectionKind::Unauthenticated, error.code())
            .with_detail(detail)
            .with_challenge(self.challenge().with_param("error", "invalid_key"))
    }

    fn challenge(&self) -> Challenge {
        Challenge::new("ApiKey")
            .with_param("realm", &self.realm)
            .with_param("header", &self.header)
    }
}
