//! The members of a published key: what it is for, and its numbers.

use jsonwebtoken::jwk::{Jwk, KeyOperations, PublicKeyUse};

use super::{KeyProblem, PointCheck, Purpose};
use crate::algorithm::Algorithm;
use crate::base64url;
use crate::crypto::{self, RsaKey};

/// 8192 bits: ring verifies no longer ones, and a longer one would let whoever writes the key set
/// decide how long a request takes.
const MAX_RSA_BYTES: usize = 1024;

/// [RFC 7518 §3.3] asks for 2048 bits or more.
///
/// [RFC 7518 §3.3]: https://www.rfc-editor.org/rfc/rfc7518#section-3.3
const MIN_RSA_BITS: usize = 2048;

/// Whether `use` and `key_ops` let the key verify ([RFC 7517 §4.2], [§4.3]).
///
/// [RFC 7517 §4.2]: https://www.rfc-editor.org/rfc/rfc7517#section-4.2
/// [§4.3]: https://www.rfc-editor.org/rfc/rfc7517#section-4.3
pub(super) fn may_verify(jwk: &Jwk, purpose: Purpose) -> bool {
    let by_use = jwk.common.public_key_use.as_ref();
    let by_operations = jwk.common.key_operations.as_ref();
    let is_for_purpose = match purpose {
        Purpose::Signature => by_use.is_none_or(|stated| *stated == PublicKeyUse::Signature),
        // A bundle holds keys of X.509 authorities as well, so that a key has to say what it is.
        Purpose::Svid => {
            matches!(by_use, Some(PublicKeyUse::Other(stated)) if stated == "jwt-svid")
        }
    };
    is_for_purpose && by_operations.is_none_or(|list| list.contains(&KeyOperations::Verify))
}

/// ring checks length and parity only when it verifies, and rounds the length up to whole bytes.
pub(super) fn load_rsa(n: &str, e: &str) -> Result<RsaKey, KeyProblem> {
    let n = base64url::decode(n.as_bytes(), MAX_RSA_BYTES).ok_or(KeyProblem::RsaModulus)?;
    let e = base64url::decode(e.as_bytes(), 5).ok_or(KeyProblem::RsaExponent)?;
    let bits = n
        .first()
        .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    // A leading zero byte is not how RFC 7518 §6.3.1.1 writes a number.
    let has_leading_zero = |number: &[u8]| number.first().is_none_or(|first| *first == 0);
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if has_leading_zero(&n) || bits < MIN_RSA_BITS || !is_odd(&n) {
        return Err(KeyProblem::RsaModulus);
    }
    let exponent = e
        .iter()
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    if has_leading_zero(&e) || !is_odd(&e) || !(3..1 << 33).contains(&exponent) {
        return Err(KeyProblem::RsaExponent);
    }
    Ok(RsaKey::new(n, e))
}

/// Joins the coordinates to an uncompressed point.
pub(super) fn load_point(
    algorithm: Algorithm,
    x: &str,
    y: &str,
    check: PointCheck,
) -> Result<Box<[u8]>, KeyProblem> {
    let length = if algorithm == Algorithm::Es256 {
        32
    } else {
        48
    };
    let coordinate = |text: &str| {
        let bytes = base64url::decode(text.as_bytes(), length).ok_or(KeyProblem::Malformed)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(KeyProblem::PointInvalid)
        }
    };
    let point = [&[4], &*coordinate(x)?, &*coordinate(y)?]
        .concat()
        .into_boxed_slice();
    if check == PointCheck::WhenUsed || crypto::is_point(algorithm, &point) {
        Ok(point)
    } else {
        Err(KeyProblem::PointInvalid)
    }
}
