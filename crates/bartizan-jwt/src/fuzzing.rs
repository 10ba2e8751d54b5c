//! What the fuzz targets of this repository reach beyond the public interface. Not part of it.

use bartizan_core::WallTime;

use crate::introspection;
use crate::outgoing;
use crate::rules::Rules;
use crate::token::VerifiedClaims;

/// The token of a token response, if it is one.
pub fn token_response(body: &[u8], is_exchange: bool) -> Option<String> {
    outgoing::read_token(body, is_exchange)
}

/// What a token stands for, if the answer of an introspection endpoint vouches for it.
pub fn introspection(body: &[u8], rules: &Rules, now: WallTime) -> Option<VerifiedClaims> {
    introspection::read_answer(body, rules, now)
}

/// Whether a token is one that is never introspected.
pub fn looks_signed(token: &str) -> bool {
    introspection::looks_signed(token)
}
