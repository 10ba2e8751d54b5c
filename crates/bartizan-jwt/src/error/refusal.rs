//! How a refusal looks to the client: the one place where this crate makes one.

use std::time::Duration;

use bartizan_core::{Challenge, Rejection, RejectionKind};
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};

use crate::credential::Presentation;
use crate::error::{JwtError, JwtErrorKind};
use crate::step_up::StepUp;

/// The field in which a client is given a nonce ([RFC 9449 §8.1]).
///
/// [RFC 9449 §8.1]: https://www.rfc-editor.org/rfc/rfc9449#section-8.1
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// When a client may come back after something could not be checked, if nothing better is known: about when the next attempt
/// to fetch keys has been made.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What challenges say of this service.
#[derive(Clone, Debug)]
pub(crate) struct Refusals {
    pub(crate) realm: Box<str>,
    /// The algorithms of proofs, if proofs are checked.
    pub(crate) proof_algorithms: Option<Box<str>>,
    /// Where the metadata of this service is.
    pub(crate) metadata: Option<Box<str>>,
    pub(crate) step_up: StepUp,
}

impl Refusals {
    /// The refusal that the client sees.
    ///
    /// Absent, bad and uncheckable credentials are three outcomes ([RFC 6750 §3.1]): no token is
    /// answered with bare challenges, so that nothing is said to have failed; a request that
    /// carries its token wrongly is malformed; a token that does not hold is `invalid_token`;
    /// and where something cannot be checked, the client is asked to come back.
    ///
    /// [RFC 6750 §3.1]: https://www.rfc-editor.org/rfc/rfc6750#section-3.1
    pub(crate) fn refuse(
        &self,
        error: JwtError,
        presentation: Presentation,
        nonce: Option<&str>,
    ) -> Rejection {
        let rejection = |kind, detail| Rejection::new(kind, error.code()).with_detail(detail);
        let refused = |detail| rejection(RejectionKind::Unauthenticated, detail);
        let rejection = match error.kind() {
            JwtErrorKind::IntrospectionOverloaded
            | JwtErrorKind::IntrospectionUnavailable
            | JwtErrorKind::KeysUnavailable
            | JwtErrorKind::ProofUnchecked => rejection(
                RejectionKind::Unavailable,
                "the token cannot be checked at present",
            )
            .with_retry_after(error.wait().unwrap_or(RETRY_AFTER)),
            JwtErrorKind::Missing => {
                let refused = refused("a bearer token is required").with_challenge(self.bearer());
                match self.dpop() {
                    Some(challenge) => refused.with_challenge(challenge),
                    None => refused,
                }
            }
            JwtErrorKind::MalformedCredentials | JwtErrorKind::MultipleTokens => rejection(
                RejectionKind::Malformed,
                "exactly one bearer token is required",
            )
            .with_challenge(self.bearer().with_param("error", "invalid_request")),
            JwtErrorKind::NonceRequired => refused("the proof needs a nonce of this service")
                .with_challenge(self.proven().with_param("error", "use_dpop_nonce")),
            JwtErrorKind::ProofInvalid | JwtErrorKind::ProofReplayed => {
                refused("the proof of possession is not valid")
                    .with_challenge(self.proven().with_param("error", "invalid_dpop_proof"))
            }
            //= RFC 9449 §7.1: [...] use of a sender-constrained token as a bearer token.
            JwtErrorKind::ProofMissing => refused("the token needs a proof of possession")
                .with_challenge(self.proven().with_param("error", "invalid_token")),
            JwtErrorKind::InsufficientAuthentication => refused("the user must authenticate again")
                .with_challenge(self.stepped_up(self.presented(presentation))),
            _ => {
                let challenge = self.presented(presentation);
                refused("the bearer token is not valid")
                    .with_challenge(challenge.with_param("error", "invalid_token"))
            }
        };
        let nonce = nonce.and_then(|nonce| HeaderValue::from_str(nonce).ok());
        let rejection = match nonce {
            Some(nonce) => rejection
                .with_header(DPOP_NONCE, nonce)
                .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store")),
            None => rejection,
        };
        rejection.with_cause(error)
    }

    fn bearer(&self) -> Challenge {
        self.described(Challenge::new("Bearer"))
    }

    fn described(&self, challenge: Challenge) -> Challenge {
        let challenge = challenge.with_param("realm", &self.realm);
        match &self.metadata {
            //= RFC 9728 §5.1: the URL of the protected resource metadata.
            Some(url) => challenge.with_param("resource_metadata", url),
            None => challenge,
        }
    }

    fn presented(&self, presentation: Presentation) -> Challenge {
        match presentation {
            Presentation::Bearer => self.bearer(),
            Presentation::Dpop => self.proven(),
        }
    }

    /// What [RFC 9470 §3](https://www.rfc-editor.org/rfc/rfc9470#section-3) adds to a challenge.
    fn stepped_up(&self, challenge: Challenge) -> Challenge {
        let mut challenge = challenge.with_param("error", "insufficient_user_authentication");
        if let Some(contexts) = &self.step_up.contexts {
            challenge = challenge.with_param("acr_values", &contexts.join(" "));
        }
        if let Some(within) = self.step_up.within {
            challenge = challenge.with_param("max_age", &within.as_secs().to_string());
        }
        challenge
    }

    fn dpop(&self) -> Option<Challenge> {
        let algorithms = self.proof_algorithms.as_ref()?;
        let challenge = self.described(Challenge::new("DPoP"));
        Some(challenge.with_param("algs", algorithms))
    }

    fn proven(&self) -> Challenge {
        self.dpop().unwrap_or_else(|| self.bearer())
    }
}
