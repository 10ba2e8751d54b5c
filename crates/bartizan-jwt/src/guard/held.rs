//! What a request's token was found to be, on whosever word.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::WallTime;
use http::HeaderMap;

use super::State;
use crate::error::JwtError;
use crate::introspection::Vouched;
use crate::outgoing::CallerToken;
use crate::rules::Rules;
use crate::token::VerifiedClaims;
use crate::verifier::Holding;

/// A token that holds at present.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// A key of its issuer signed it.
    Signed(Holding),
    /// Its issuer said so.
    Vouched(Vouched),
}

impl Held {
    pub(crate) fn claims(&self) -> &Arc<VerifiedClaims> {
        match self {
            Self::Signed(holding) => holding.claims(),
            Self::Vouched(vouched) => vouched.claims(),
        }
    }
}

impl State {
    /// The rules that a token was found to fulfil.
    pub(super) fn rules_of(&self, held: &Held) -> Option<&Rules> {
        match held {
            Held::Signed(holding) => Some(&self.verifiers.of(holding.verifier)?.rules),
            Held::Vouched(_) => Some(self.introspector.as_ref()?.rules()),
        }
    }

    /// How much longer a token holds, or why it does no more.
    pub(super) fn time_left_of(&self, held: &Held, now: WallTime) -> Result<Duration, JwtError> {
        let ended = match held {
            Held::Signed(Holding { token, verifier }) => {
                self.verifiers.ended(*verifier, token, now)
            }
            Held::Vouched(vouched) => {
                let introspector = self.introspector.as_ref();
                introspector.and_then(|introspector| introspector.ended(vouched, now))
            }
        };
        if let Some(error) = ended {
            return Err(error);
        }
        self.revoked(held)?;
        let end = self.rules_of(held).map(|rules| rules.end_of(held.claims()));
        Ok(end.map_or(Duration::ZERO, |end| end.saturating_since(now)))
    }

    /// The token that was found to hold, to be passed on.
    pub(super) fn caller_token(&self, headers: &HeaderMap, held: &Held) -> Option<CallerToken> {
        let text = self.credential(headers).ok()??.text().ok()?;
        let rules = self.rules_of(held)?;
        let claims = Arc::clone(held.claims());
        let ends = rules.end_of(&claims);
        Some(CallerToken::assert_verified(text, claims, ends))
    }
}
