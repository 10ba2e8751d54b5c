//! Keys and parts of tokens, as several files of vectors hold them.

use anyhow::Result;
use bartizan_jwt::{Algorithm, AlgorithmSet, KeySet, SharedSecret, verify_signature};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::tally::{Observed, reason};

/// As much as the public function is asked to look at: no vector is to be refused for its size
/// where the file asks for a signature.
const MAX_BYTES: usize = 65_536;

/// The members that hold the private half of a key.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// The set that holds the public half of this key alone. A symmetric key is taken for a secret
/// that was given by hand, which the family never reads from a set.
pub(crate) fn set_of(key: &Value) -> Result<KeySet> {
    let text = |name| key.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("kty") == "oct" {
        let secret = Algorithm::from_name(text("alg"))
            .zip(decode(text("k")))
            .and_then(|(algorithm, secret)| SharedSecret::new(algorithm, &secret).ok())
            .map(|secret| secret.with_key_id(text("kid")));
        return Ok(KeySet::from_secrets(secret));
    }
    let mut key = key.clone();
    if let Some(members) = key.as_object_mut() {
        members.retain(|name, _| !PRIVATE.contains(&name.as_str()));
    }
    Ok(KeySet::from_json(&json!({ "keys": [key] }).to_string())?)
}

/// Verifies a signature, whatever the payload means, and gives the payload.
pub(crate) fn signed_payload(jws: &str, keys: &KeySet) -> Observed {
    verify_signature(jws, keys, AlgorithmSet::ALL, MAX_BYTES)
        .map(|payload| String::from_utf8_lossy(&payload).into_owned())
        .map_err(reason)
}

/// The `alg` of a compact token, if it is one that the family does not verify: ring has neither
/// P-521 nor secp256k1.
pub(crate) fn algorithm_not_offered(token: &str) -> Option<String> {
    let header = part(token, 0)?;
    let name = header.get("alg")?.as_str()?;
    let known = ["ES512", "ES256K"].contains(&name);
    (known && Algorithm::from_name(name).is_none()).then(|| format!("{name} is not offered"))
}

/// As [`algorithm_not_offered`], for tokens under the keys of a published set, where the family
/// takes no secret from.
pub(crate) fn algorithm_not_in_a_set(token: &str) -> Option<String> {
    let header = part(token, 0)?;
    let algorithm = header.get("alg")?.as_str().and_then(Algorithm::from_name);
    match algorithm {
        Some(algorithm) if algorithm.is_symmetric() => Some(format!(
            "{algorithm} needs a secret, and a published one is none"
        )),
        _ => algorithm_not_offered(token),
    }
}

/// Whether this key is of a kind that the family does not take from a set.
pub(crate) fn kind_not_in_a_set(key: &Value) -> bool {
    key.get("kty").and_then(Value::as_str) == Some("oct") || curve_not_offered(key)
}

/// Whether this key is on a curve that the family does not offer.
pub(crate) fn curve_not_offered(key: &Value) -> bool {
    let curve = key.get("crv").and_then(Value::as_str);
    curve.is_some_and(|curve| ["P-521", "secp256k1"].contains(&curve))
}

/// Header (0) or payload (1) of a compact token, read leniently: only to set up a case.
pub(crate) fn part(token: &str, position: usize) -> Option<Value> {
    let encoded = token.split('.').nth(position)?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    serde_json::from_slice(&decoded).ok()
}

/// A part of a token that says this.
pub(crate) fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// The bytes of a part of a token.
pub(crate) fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
