//! How, and how recently, the user must have authenticated ([RFC 9470]).
//!
//! [RFC 9470]: https://www.rfc-editor.org/rfc/rfc9470

use std::time::Duration;

use bartizan_core::WallTime;

use crate::error::{JwtError, JwtErrorKind};
use crate::token::VerifiedClaims;

/// What is asked of the authentication behind a token. It is looked at for each request, also
/// where the token is remembered: what was recent is not for ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepUp {
    /// One of these, if it is asked for.
    pub(crate) contexts: Option<Vec<Box<str>>>,
    pub(crate) within: Option<Duration>,
}

impl StepUp {
    pub(crate) fn check(&self, claims: &VerifiedClaims, now: WallTime) -> Result<(), JwtError> {
        if self.contexts.is_none() && self.within.is_none() {
            return Ok(());
        }
        let context = claims.authentication_context();
        let has_context = self.contexts.as_ref().is_none_or(|wanted| {
            context.is_some_and(|stated| wanted.iter().any(|one| **one == *stated))
        });
        let is_recent = self.within.is_none_or(|span| {
            let at = claims.authenticated_at();
            at.is_some_and(|at| now.saturating_since(at) <= span)
        });
        if has_context && is_recent {
            Ok(())
        } else {
            Err(JwtError::new(JwtErrorKind::InsufficientAuthentication))
        }
    }
}
