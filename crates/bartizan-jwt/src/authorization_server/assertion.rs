//! An assertion by which a client authenticates ([RFC 7523 §3]).
//!
//! [RFC 7523 §3]: https://www.rfc-editor.org/rfc/rfc7523#section-3

use std::time::Duration;

use bartizan_core::WallTime;
use serde_json::json;
use zeroize::Zeroizing;

use crate::base64url;
use crate::client_key::ClientKey;
use crate::crypto;

/// The value of `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion holds: long enough for a clock that is off by half a minute.
const LIFETIME: Duration = Duration::from_secs(60);

/// An assertion that this client is who it says; `None` if the system has no random bytes.
pub(super) fn sign(
    key: &ClientKey,
    client: &str,
    audience: &str,
    now: WallTime,
) -> Option<Zeroizing<String>> {
    let mut header = json!({ "alg": key.algorithm().name(), "typ": "JWT" });
    if let (Some(key_id), Some(members)) = (key.key_id(), header.as_object_mut()) {
        members.insert("kid".to_owned(), json!(key_id));
    }
    let payload = json!({
        "iss": client,
        "sub": client,
        "aud": audience,
        "jti": base64url::encode(&crypto::random_bytes::<16>()?),
        "iat": now.unix_seconds(),
        "exp": (now + LIFETIME).unix_seconds(),
    });
    let part = |value: &serde_json::Value| base64url::encode(value.to_string().as_bytes());
    let mut assertion = format!("{}.{}", part(&header), part(&payload));
    let signature = key.sign(assertion.as_bytes())?;
    assertion.push('.');
    assertion.push_str(&base64url::encode(&signature));
    Some(Zeroizing::new(assertion))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::{Algorithm, AlgorithmSet};
    use crate::testing::{ed25519_pkcs8, key_set, now};
    use crate::verify::verify_signature;

    #[test]
    fn an_assertion_is_signed_and_for_one_endpoint_and_minute() {
        let (pair, public) = ed25519_pkcs8();
        let key = ClientKey::from_pkcs8_der(&pair, Algorithm::EdDsa).unwrap();
        let key = key.with_key_id("client-1");
        let sign = || sign(&key, "orders", "https://issuer.example/token", now()).unwrap();
        let (one, other) = (sign(), sign());
        assert_ne!(one, other, "each is for one request");
        let keys = key_set(&[json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "client-1", "x": base64url::encode(&public),
        })]);
        let payload = verify_signature(&one, &keys, AlgorithmSet::ALL, 4096).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        for (name, expected) in [
            ("iss", json!("orders")),
            ("sub", json!("orders")),
            ("aud", json!("https://issuer.example/token")),
            ("iat", json!(now().unix_seconds())),
            ("exp", json!(now().unix_seconds() + 60)),
        ] {
            assert_eq!(claims[name], expected, "{name}");
        }
    }
}
