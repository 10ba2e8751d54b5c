//! Keys and parts of tokens, as several files of vectors hold them.

use anyhow::Result;
use bartizan_jwt::{Algorithm, AlgorithmSet, KeySet, verify_signature};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::tally::{Observed, reason};

/// As much as the public function is asked to look at: no vector is to be refused for its size
/// where the file asks for a signature.
const MAX_BYTES: usize = 65_536;

/// The members that hold the private half of a key.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// The set that holds the public half of this key alone.
pub(crate) fn set_of(key: &Value) -> Result<KeySet> {
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

/// The `alg` of a compact token, if it is one that the family does not verify on purpose: it has
/// no symmetric algorithms, and ring has neither P-521 nor secp256k1.
pub(crate) fn algorithm_not_offered(token: &str) -> Option<String> {
    let header = part(token, 0)?;
    let name = header.get("alg")?.as_str()?;
    let known = ["HS256", "HS384", "HS512", "ES512", "ES256K"].contains(&name);
    (known && Algorithm::from_name(name).is_none()).then(|| format!("{name} is not offered"))
}

/// Whether this key is of a kind that the family does not offer, see [`algorithm_not_offered`].
pub(crate) fn kind_not_offered(key: &Value) -> bool {
    let is = |name, values: &[&str]| {
        key.get(name)
            .and_then(Value::as_str)
            .is_some_and(|value| values.contains(&value))
    };
    is("kty", &["oct"]) || is("crv", &["P-521", "secp256k1"])
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
