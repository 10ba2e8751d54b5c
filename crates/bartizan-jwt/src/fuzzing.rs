//! What the fuzz targets of this repository reach beyond the public interface. Not part of it.

use bartizan_core::WallTime;
use http::{HeaderValue, Response, StatusCode, Uri, header};

use crate::credential::{self, Credential};
use crate::discovery;
use crate::error::JwtError;
use crate::introspection;
use crate::issuer::Issuer;
use crate::oauth_error::OAuthError;
use crate::outgoing;
use crate::rules::Rules;
use crate::token::VerifiedClaims;

/// The token of a token response, if it is one.
pub fn token_response(body: &[u8], is_exchange: bool) -> Option<String> {
    outgoing::read_token(body, is_exchange)
}

/// The code of an error response, if it is one.
pub fn oauth_error(body: &[u8]) -> Option<&'static str> {
    OAuthError::read(body).map(OAuthError::name)
}

/// What a token stands for, if the answer of an introspection endpoint vouches for it.
pub fn introspection(body: &[u8], rules: &Rules, now: WallTime) -> Option<VerifiedClaims> {
    introspection::read_answer(body, rules, now)
}

/// Whether a token is one that is never introspected.
pub fn looks_signed(token: &str) -> bool {
    introspection::looks_signed(token)
}

/// Where an issuer's keys are, by its discovery document.
pub fn key_location(document: &str, issuer: &Issuer) -> Option<String> {
    discovery::key_location(document, issuer).ok()
}

/// Whether a refusal with this challenge says that the token does not hold.
pub fn says_invalid_token(challenge: &HeaderValue) -> bool {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
    outgoing::says_invalid_token(&response)
}

/// Whether a token for this origin may go to that URI, if it is an origin.
pub fn leads_to(origin: &str, uri: &Uri) -> Option<bool> {
    outgoing::leads_to(origin, uri)
}

/// The token in `Authorization`, if there is one.
///
/// # Errors
///
/// If somebody could read another one there, or it is none.
pub fn in_authorization(fields: &[&[u8]]) -> Result<Option<String>, JwtError> {
    text(credential::in_authorization(fields.iter().copied())?)
}

/// The token in the cookie of this name.
///
/// # Errors
///
/// As for [`in_authorization`].
pub fn in_cookies(fields: &[&[u8]], name: &str) -> Result<Option<String>, JwtError> {
    text(credential::in_cookies(fields.iter().copied(), name)?)
}

/// The token behind this subprotocol of a WebSocket.
///
/// # Errors
///
/// As for [`in_authorization`].
pub fn in_protocols(fields: &[&[u8]], marker: &str) -> Result<Option<String>, JwtError> {
    text(credential::in_protocols(fields.iter().copied(), marker)?)
}

fn text(found: Option<Credential<'_>>) -> Result<Option<String>, JwtError> {
    found
        .map(|found| found.text().map(str::to_owned))
        .transpose()
}
