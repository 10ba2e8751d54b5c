//! Tokens that are bound to a certificate.

use bartizan_core::SecurityContext;

use crate::error::{JwtError, JwtErrorKind};

/// Checks the certificate of the connection, or the one that a proxy with the right to do so told
/// of.
pub(super) fn has_certificate(
    context: &SecurityContext,
    wanted: &[u8; 32],
) -> Result<(), JwtError> {
    //= RFC 8705 §3: the protected resource MUST [...] verify that the certificate matches the
    //= certificate associated with the access token.
    // A proxy that speaks for its clients is not one of them: its own certificate would let a
    // token of its own be used by everybody behind it.
    let held = match context.forwarded() {
        Some(told) if told.satisfies_certificate_binding() => told.certificate_sha256(),
        Some(_) => None,
        None => context.peer().map(|peer| peer.certificate_sha256()),
    };
    if held == Some(wanted) {
        Ok(())
    } else {
        Err(JwtError::new(JwtErrorKind::CertificateMismatch))
    }
}
