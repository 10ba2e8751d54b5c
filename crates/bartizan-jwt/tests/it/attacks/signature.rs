//! S1 to S8: signatures, and keys under which they prove nothing.

use bartizan_jwt::{KeyProblem, KeySet};
use bartizan_testkit::forge::{truncated_signature, without_signature, zero_signature};
use bartizan_testkit::{SigningAlgorithm, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Target, target};
use crate::support::{outcome, passed};

fn with_signature(token: &str, signature: &[u8]) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn s01_a_signature_of_zeros_or_out_of_range() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let target = Target::new(algorithm);
        let token = target.token().sign().unwrap();
        let zeros = zero_signature(&token).unwrap();
        target.refuses(&zeros, "jwt.bad_signature").await;
        for bytes in [[0xff; 64], [1; 64]] {
            target
                .refuses(&with_signature(&token, &bytes), "jwt.bad_signature")
                .await;
        }
    }
}

#[tokio::test]
async fn s02_a_signature_in_der_or_of_another_length() {
    let target = target();
    let token = target.token().sign().unwrap();
    let (_, signature) = token.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = raw.split_at(32);
    let integer = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
    let body = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat();
    target
        .refuses(&with_signature(&token, &der), "jwt.bad_signature")
        .await;
    for length in [1, 63, 65, 96, 128] {
        let bytes: Vec<u8> = raw.iter().copied().cycle().take(length).collect();
        target
            .refuses(&with_signature(&token, &bytes), "jwt.bad_signature")
            .await;
    }
}

#[tokio::test]
async fn s03_a_signature_that_is_cut_off_or_a_mac_with_an_empty_key() {
    let target = target();
    let token = target.token().sign().unwrap();
    let cut = truncated_signature(&token).unwrap();
    target.refuses(&cut, "jwt.bad_signature").await;
    let none = without_signature(&token).unwrap();
    target.refuses(&none, "jwt.bad_signature").await;
    let mac = target.token().sign_hs256(b"");
    target.refuses(&mac, "jwt.algorithm_not_allowed").await;
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key is left out of its set with this remark, and a good key beside it is not.
#[track_caller]
fn refuse_keys(keys: &[(Value, KeyProblem)]) {
    let good = target().offline.mint.signing_key().public_jwk();
    for (jwk, problem) in keys {
        let set = KeySet::from_json(&json!({ "keys": [jwk, good] }).to_string()).unwrap();
        assert_eq!(set.keys().len(), 1, "{jwk}");
        let problems: Vec<_> = set
            .notices()
            .iter()
            .map(|notice| notice.problem())
            .collect();
        assert_eq!(problems, [*problem], "{jwk}");
    }
}

#[test]
fn s04_an_rsa_key_that_is_short_long_or_has_a_bad_exponent() {
    let odd = |length: usize| {
        let mut number = vec![0xff; length];
        number[0] = 0x80;
        encode(&number)
    };
    let rsa = |n: &str, e: &str| json!({ "kty": "RSA", "n": n, "e": e });
    refuse_keys(&[
        (rsa(&odd(64), "AQAB"), KeyProblem::RsaModulus),
        (rsa(&odd(128), "AQAB"), KeyProblem::RsaModulus),
        (rsa(&odd(1025), "AQAB"), KeyProblem::RsaModulus),
        (rsa(&odd(256), "AQ"), KeyProblem::RsaExponent),
        (rsa(&odd(256), "Ag"), KeyProblem::RsaExponent),
        (rsa(&odd(256), "AQAAAAAAAAE"), KeyProblem::RsaExponent),
    ]);
}

fn edwards(x: &[u8]) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(x) })
}

#[test]
fn s05_an_ed25519_key_of_small_order() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut negated = identity;
    negated[31] = 0x80;
    refuse_keys(&[
        (edwards(&identity), KeyProblem::SmallOrder),
        (edwards(&negated), KeyProblem::SmallOrder),
        (edwards(&[0; 32]), KeyProblem::SmallOrder),
    ]);
}

#[test]
fn s06_an_ed25519_key_of_another_length_or_that_is_no_point() {
    let mut two = [0; 32];
    two[0] = 2;
    refuse_keys(&[
        (edwards(&[1, 2, 3]), KeyProblem::PointInvalid),
        (edwards(&[]), KeyProblem::PointInvalid),
        (edwards(&[9; 33]), KeyProblem::Malformed),
        (edwards(&two), KeyProblem::PointInvalid),
    ]);
}

#[test]
fn s07_a_point_that_is_not_on_its_curve() {
    let curve =
        |x: &[u8], y: &[u8]| json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
    refuse_keys(&[
        (curve(&[1; 32], &[2; 32]), KeyProblem::PointInvalid),
        (curve(&[0; 32], &[0; 32]), KeyProblem::PointInvalid),
        (curve(&[1; 31], &[2; 32]), KeyProblem::PointInvalid),
        // Compressed: x alone, with a byte for the sign of y.
        (
            json!({ "kty": "EC", "crv": "P-256", "x": encode(&[2; 33]) }),
            KeyProblem::Unsupported,
        ),
    ]);
}

#[tokio::test]
async fn s08_any_single_byte_of_a_token_changed() {
    let target = target();
    let token = target.token().sign().unwrap();
    target.accepts(&token).await;
    for index in 0..token.len() {
        for other in [b'A', b'B', b'_', b'.'] {
            let mut changed = token.clone().into_bytes();
            let Some(byte) = changed.get_mut(index) else {
                continue;
            };
            if *byte == other {
                continue;
            }
            *byte = other;
            let changed = String::from_utf8(changed).unwrap();
            let (status, _) = outcome(&target.layer, &changed).await;
            assert_eq!(status, 401, "byte {index} as {}", char::from(other));
        }
    }
    assert_eq!(target.layer.guard().cached_tokens(), 1);
    assert_eq!(outcome(&target.layer, &token).await, passed());
}

#[tokio::test]
async fn s08_the_signature_of_one_token_under_another() {
    let target = target();
    let good = target.token().sign().unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let other = target.token().subject("mallory").sign().unwrap();
    let (signed, _) = other.rsplit_once('.').unwrap();
    let spliced = format!("{signed}.{signature}");
    target.refuses(&spliced, "jwt.bad_signature").await;
    let thief = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
    let forged = target.token().sign_with_foreign_key(&thief).unwrap();
    target.refuses(&forged, "jwt.bad_signature").await;
}
