//! One proof: a token that the client signs for one request.

use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::base64url;
use crate::crypto::digest;
use crate::error::JwtError;
use crate::json;
use crate::key::VerificationKey;

/// The longest proof in bytes: one with an RSA key of 8192 bits.
const MAX_PROOF: usize = 6144;

/// The longest identifier of a proof in bytes. A UUID has 36.
const MAX_ID: usize = 255;

pub(super) struct Proof<'p> {
    pub(super) key: VerificationKey,
    pub(super) claims: ProofClaims,
    algorithm: Algorithm,
    signed: &'p [u8],
    signature: Vec<u8>,
}

pub(super) struct ProofClaims {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) issued_at: u64,
    pub(super) token_hash: String,
    pub(super) nonce: Option<String>,
}

impl<'p> Proof<'p> {
    /// Reads a proof. Its signature is not verified yet.
    pub(super) fn parse(text: &'p [u8], algorithms: AlgorithmSet) -> Result<Self, JwtError> {
        let malformed = || JwtError::proof("is malformed");
        if text.len() > MAX_PROOF {
            return Err(JwtError::proof("is too large"));
        }
        let text = std::str::from_utf8(text).map_err(|_| malformed())?;
        let (signed, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        let header = read(header).ok_or_else(malformed)?;
        let claims = read(payload).ok_or_else(malformed)?;
        let (algorithm, key) = read_header(header, algorithms)?;
        Ok(Self {
            key,
            claims: read_claims(&claims)?,
            algorithm,
            signed: signed.as_bytes(),
            signature: base64url::decode(signature.as_bytes(), 1024).ok_or_else(malformed)?,
        })
    }

    pub(super) fn verifies(&self) -> bool {
        self.key
            .verifies(self.algorithm, self.signed, &self.signature)
    }
}

/// The value of `ath` for a token ([RFC 9449 §4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2)).
pub(super) fn hash_of(token: &[u8]) -> String {
    base64url::encode(digest::digest(&digest::SHA256, token).as_ref())
}

fn read(part: &str) -> Option<Map<String, Value>> {
    let bytes = base64url::decode(part.as_bytes(), MAX_PROOF)?;
    match json::read_tree(std::str::from_utf8(&bytes).ok()?).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

fn read_header(
    mut header: Map<String, Value>,
    algorithms: AlgorithmSet,
) -> Result<(Algorithm, VerificationKey), JwtError> {
    let text = |name| header.get(name).and_then(Value::as_str);
    if !text("typ").is_some_and(|kind| kind.eq_ignore_ascii_case("dpop+jwt")) {
        return Err(JwtError::proof("typ is not dpop+jwt"));
    }
    if ["crit", "b64", "zip", "enc", "epk"]
        .iter()
        .any(|name| header.contains_key(*name))
    {
        return Err(JwtError::proof("has an unsupported header parameter"));
    }
    let algorithm = text("alg").and_then(Algorithm::from_name);
    let algorithm = algorithm
        .filter(|algorithm| algorithms.contains(*algorithm))
        .ok_or(JwtError::proof("alg is not allowed"))?;
    let Some(Value::Object(jwk)) = header.remove("jwk") else {
        return Err(JwtError::proof("has no jwk"));
    };
    //= RFC 9449 §4.3: the jwk JOSE Header Parameter does not contain a private key.
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]
        .iter()
        .any(|name| jwk.contains_key(*name))
    {
        return Err(JwtError::proof("jwk is not a public key"));
    }
    let key = VerificationKey::load_unproven(jwk).map_err(|_| JwtError::proof("jwk is unfit"))?;
    if !key.algorithms().contains(algorithm) {
        return Err(JwtError::proof("alg is not the key's"));
    }
    Ok((algorithm, key))
}

fn read_claims(claims: &Map<String, Value>) -> Result<ProofClaims, JwtError> {
    let text = |name, problem| {
        let value = claims.get(name).and_then(Value::as_str);
        value.map(str::to_owned).ok_or(JwtError::proof(problem))
    };
    let id = text("jti", "jti is missing")?;
    if id.is_empty() || id.len() > MAX_ID {
        return Err(JwtError::proof("jti is empty or too long"));
    }
    let issued_at = claims.get("iat");
    let issued_at = issued_at
        .and_then(|value| {
            let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
            Some(value.as_u64().unwrap_or(seconds as u64))
        })
        .ok_or(JwtError::proof("iat is missing"))?;
    let nonce = match claims.get("nonce") {
        None => None,
        Some(value) => Some(
            value
                .as_str()
                .map(str::to_owned)
                .ok_or(JwtError::proof("nonce is no text"))?,
        ),
    };
    Ok(ProofClaims {
        id,
        method: text("htm", "htm is missing")?,
        target: text("htu", "htu is missing")?,
        issued_at,
        token_hash: text("ath", "ath is missing")?,
        nonce,
    })
}
