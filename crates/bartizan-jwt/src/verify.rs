//! The verification of one token.

use bartizan_core::{SpiffeId, WallTime};

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::base64url;
use crate::claims::ClaimSet;
use crate::error::{Detail, JwtError, JwtErrorKind};
use crate::header::Header;
use crate::key::VerificationKey;
use crate::key_set::{Candidates, KeySet};
use crate::rules::Rules;
use crate::token::{Facts, VerifiedToken};

/// The longest header, decoded, in bytes. Headers in use have 50 to 200.
const MAX_HEADER: usize = 1024;

/// The longest signature in bytes: that of an RSA key of 8192 bits.
const MAX_SIGNATURE: usize = 1024;

/// Verifies a token: a JWS in compact serialization ([RFC 7515 §7.1]) whose payload is a set of
/// claims.
///
/// Pure: the same token, keys, rules and time give the same answer. The steps go from cheap to
/// dear, and the signature comes last, because verifying a forged one costs as much as a good one:
///
/// 1. The token is not larger than allowed, and has exactly three parts.
/// 2. The header is strict JSON without anything that changes the meaning of the rest; its `alg`
///    is allowed, its `typ` accepted.
/// 3. The payload is strict JSON; issuer, audience, times and the other claims fulfil the rules.
/// 4. A key of the set has the token's `kid`, and the algorithm is the key's.
/// 5. The signature verifies.
///
/// # Errors
///
/// The first step that fails, as a [`JwtError`]. A token that is bound to a key or certificate
/// (`cnf`) is refused, since this function does not see the request which would have to prove
/// possession; the layer does. Until the last step nothing is proven, so that a
/// forged token can cause any of them.
///
/// # Example
///
/// ```
/// use bartizan_core::WallTime;
/// use bartizan_jwt::{JwtErrorKind, KeySet, Rules, verify};
///
/// let rules = Rules::builder("https://issuer.example", "https://orders.example").build()?;
/// let now = WallTime::from_unix_seconds(1_800_000_000);
/// let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.";
/// let refused = verify(unsigned, &KeySet::default(), &rules, now).unwrap_err();
/// assert_eq!(refused.kind(), JwtErrorKind::AlgorithmNotAllowed);
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
///
/// [RFC 7515 §7.1]: https://www.rfc-editor.org/rfc/rfc7515#section-7.1
pub fn verify(
    token: &str,
    keys: &KeySet,
    rules: &Rules,
    now: WallTime,
) -> Result<VerifiedToken, JwtError> {
    let token = verify_claims(token, keys, rules, now).map_err(|unverified| unverified.error)?;
    if token.claims().confirmation().is_none() {
        Ok(token)
    } else {
        Err(JwtError::new(JwtErrorKind::BoundToken))
    }
}

/// Verifies a token as [`verify`] does, but for its binding: what it is bound to
/// ([`VerifiedClaims::confirmation`](crate::VerifiedClaims)) is still to be proven by the request.
pub(crate) fn verify_claims(
    token: &str,
    keys: &KeySet,
    rules: &Rules,
    now: WallTime,
) -> Result<VerifiedToken, Unverified> {
    let parts = Parts::split(token, rules.max_token_bytes())?;
    let mut header = [0; MAX_HEADER + base64url::SLACK];
    let header = parts.header(&mut header)?;
    check_algorithm(header.algorithm, rules.algorithms())?;
    rules.check_type(header.token_type.as_deref())?;
    let payload = parts.payload()?;
    let payload = String::from_utf8(payload).map_err(|_| JwtError::malformed("payload"))?;
    let claims = ClaimSet::parse(&payload)?;
    rules.check_claims(&claims, now)?;
    let mut signature = [0; MAX_SIGNATURE + base64url::SLACK];
    let signature = parts.signature(&mut signature)?;
    let key = parts.signing_key(&header, signature, keys);
    let key = key.map_err(|error| Unverified {
        error,
        hinges_on_keys: true,
        issued_at: claims.issued_at,
    })?;
    let facts = Facts::assert_verified(&claims, rules.issuer())?;
    let claims = facts.with_payload(payload, key.thumbprint());
    Ok(VerifiedToken::new(claims))
}

/// Why a token was not verified, and whether newer keys could change that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unverified {
    pub(crate) error: JwtError,
    /// Whether all else holds, so that it might verify with other keys.
    pub(crate) hinges_on_keys: bool,
    /// When it says that it was issued, unproven, in seconds.
    pub(crate) issued_at: Option<u64>,
}

impl From<JwtError> for Unverified {
    fn from(error: JwtError) -> Self {
        Self {
            error,
            hinges_on_keys: false,
            issued_at: None,
        }
    }
}

/// The issuer that a token names, unproven: to find whose keys and rules it is to be held to.
pub(crate) fn peek_issuer(token: &str, max_bytes: usize) -> Result<String, JwtError> {
    let payload = Parts::split(token, max_bytes)?.payload()?;
    let payload = String::from_utf8(payload).map_err(|_| JwtError::malformed("payload"))?;
    let claims = ClaimSet::parse(&payload)?;
    if let Some(issuer) = claims.issuer {
        return Ok(issuer.into_owned());
    }
    // A JWT-SVID need not name its issuer: its subject does.
    let subject = claims.subject.as_deref().unwrap_or_default();
    match subject.parse::<SpiffeId>() {
        Ok(id) => Ok(format!("spiffe://{}", id.trust_domain())),
        Err(_) => Err(JwtError::claim("iss", "is missing")),
    }
}

/// Verifies the signature of a JWS in compact serialization, whatever its payload means, and
/// returns the payload.
///
/// For data that is signed but is no token, and for checking this crate against test vectors.
/// Issuer, audience, type and time are not looked at: never use it to authenticate.
///
/// # Errors
///
/// [`JwtError`], as [`verify`] gives it.
pub fn verify_signature(
    jws: &str,
    keys: &KeySet,
    algorithms: AlgorithmSet,
    max_bytes: usize,
) -> Result<Vec<u8>, JwtError> {
    let parts = Parts::split(jws, max_bytes)?;
    let mut header = [0; MAX_HEADER + base64url::SLACK];
    let header = parts.header(&mut header)?;
    check_algorithm(header.algorithm, algorithms)?;
    let payload = parts.payload()?;
    let mut signature = [0; MAX_SIGNATURE + base64url::SLACK];
    let signature = parts.signature(&mut signature)?;
    parts.signing_key(&header, signature, keys)?;
    Ok(payload)
}

fn check_algorithm(algorithm: Algorithm, allowed: AlgorithmSet) -> Result<(), JwtError> {
    if allowed.contains(algorithm) {
        Ok(())
    } else {
        let detail = Detail::Text(algorithm.name());
        Err(JwtError::with_detail(
            JwtErrorKind::AlgorithmNotAllowed,
            detail,
        ))
    }
}

/// The three parts of a token, still encoded.
struct Parts<'t> {
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
    /// The first two with the dot between: what is signed.
    signed: &'t str,
}

impl<'t> Parts<'t> {
    fn split(token: &'t str, limit: usize) -> Result<Self, JwtError> {
        if token.len() > limit {
            let detail = Detail::Size {
                size: token.len(),
                limit,
            };
            return Err(JwtError::with_detail(JwtErrorKind::TooLarge, detail));
        }
        let three = || JwtError::malformed("not three parts");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(three)?;
        let (header, payload) = signed.split_once('.').ok_or_else(three)?;
        if payload.contains('.') {
            return Err(three());
        }
        Ok(Self {
            header,
            payload,
            signature,
            signed,
        })
    }

    fn header<'b>(&self, buffer: &'b mut [u8]) -> Result<Header<'b>, JwtError> {
        let header = base64url::decode_into(self.header.as_bytes(), buffer)
            .filter(|header| header.len() <= MAX_HEADER)
            .ok_or(JwtError::malformed("header"))?;
        Header::parse(header)
    }

    fn payload(&self) -> Result<Vec<u8>, JwtError> {
        base64url::decode(self.payload.as_bytes(), self.payload.len())
            .ok_or(JwtError::malformed("payload"))
    }

    fn signature<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], JwtError> {
        base64url::decode_into(self.signature.as_bytes(), buffer)
            .ok_or(JwtError::malformed("signature"))
    }

    /// Finds the key with which the signature verifies.
    fn signing_key<'k>(
        &self,
        header: &Header<'_>,
        signature: &[u8],
        keys: &'k KeySet,
    ) -> Result<&'k VerificationKey, JwtError> {
        let candidates = keys.candidates(header.key_id.as_deref(), header.algorithm);
        // A token that names no key may be signed with one that is not here yet: what none of
        // them verifies has an unknown key, for which newer keys are fetched.
        let (keys, mut reason, mismatch) = match candidates {
            Candidates::Named([]) => return Err(JwtError::new(JwtErrorKind::UnknownKey)),
            Candidates::Named(keys) => (
                keys,
                JwtErrorKind::AlgorithmNotAllowed,
                JwtErrorKind::BadSignature,
            ),
            Candidates::Unnamed(keys) => (keys, JwtErrorKind::UnknownKey, JwtErrorKind::UnknownKey),
        };
        for key in keys
            .iter()
            .filter(|key| key.algorithms().contains(header.algorithm))
        {
            if key.verifies(header.algorithm, self.signed.as_bytes(), signature) {
                return Ok(key);
            }
            reason = mismatch;
        }
        Err(JwtError::new(reason))
    }
}

#[cfg(test)]
mod tests;
