//! Keys and tokens for unit tests.

use bartizan_core::WallTime;
use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::base64url::encode;
use crate::key_set::KeySet;
use crate::rules::{Rules, RulesBuilder};

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "https://orders.example";

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn now() -> WallTime {
    WallTime::from_unix_seconds(NOW)
}

pub(crate) fn key_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

pub(crate) fn public_jwk() -> Value {
    let x = encode(key_pair().public_key().as_ref());
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": "key-1", "x": x })
}

pub(crate) fn keys() -> KeySet {
    key_set(&[public_jwk()])
}

pub(crate) fn key_set(keys: &[Value]) -> KeySet {
    KeySet::from_json(&json!({ "keys": keys }).to_string()).unwrap()
}

pub(crate) fn rules() -> RulesBuilder {
    Rules::builder(ISSUER, AUDIENCE)
}

/// The claims of a good access token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "client_id": "shop", "jti": "t-1",
        "iat": NOW - 10, "exp": NOW + 300, "scope": "orders:read orders:write",
    })
}

pub(crate) fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "key-1" })
}

pub(crate) fn sign(header: &Value, claims: &Value) -> String {
    sign_text(&header.to_string(), claims.to_string().as_bytes())
}

pub(crate) fn sign_text(header: &str, payload: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload));
    let signature = key_pair().sign(signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

/// `base` with members replaced, or removed where the new value is null.
pub(crate) fn with(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            base[name] = value.clone();
        }
    }
    base
}

/// A new P-256 key as PKCS #8.
pub(crate) fn p256_pkcs8() -> Vec<u8> {
    let random = SystemRandom::new();
    let algorithm = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    document.as_ref().to_vec()
}

/// A new Ed25519 key as PKCS #8, and its public half.
pub(crate) fn ed25519_pkcs8() -> (Vec<u8>, Vec<u8>) {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let public = pair.public_key().as_ref().to_vec();
    (document.as_ref().to_vec(), public)
}
