use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use serde_json::{Value, json};

use super::*;
use crate::base64url::encode;
use crate::testing::{key_set, public_jwk, with};

/// What became of one key: the algorithms that it serves, or why it is not used.
fn load(key: Value) -> Result<Vec<&'static str>, KeyProblem> {
    let keys = key_set(&[key]);
    match (keys.keys(), keys.notices()) {
        ([key], _) => Ok(key.algorithms().iter().map(Algorithm::name).collect()),
        ([], [notice]) => Err(notice.problem()),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(key: Value, expected: Result<&[&str], KeyProblem>) {
    assert_eq!(load(key.clone()), expected.map(<[_]>::to_vec), "{key}");
}

/// An odd number of this many bits; whether it is a product of two primes is not asked.
fn modulus(bits: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; bits.div_ceil(8)];
    bytes[0] = match bits % 8 {
        0 => 0x80,
        rest => 1 << (rest - 1),
    };
    *bytes.last_mut().unwrap() = 1;
    bytes
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
}

fn point(curve: &str) -> Value {
    let algorithm = match curve {
        "P-256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
        _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
    };
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    let coordinates = &pair.public_key().as_ref()[1..];
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
}

const RSA_ALL: &[&str] = &["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

#[test]
fn type_and_curve_decide_the_algorithms() {
    check(public_jwk(), Ok(&["EdDSA"]));
    check(point("P-256"), Ok(&["ES256"]));
    check(point("P-384"), Ok(&["ES384"]));
    check(rsa(&modulus(2048), &[1, 0, 1]), Ok(RSA_ALL));
}

#[test]
fn a_stated_algorithm_narrows_them_and_must_suit() {
    let key = rsa(&modulus(2048), &[1, 0, 1]);
    check(with(key.clone(), json!({ "alg": "PS256" })), Ok(&["PS256"]));
    check(
        with(public_jwk(), json!({ "alg": "Ed25519" })),
        Ok(&["EdDSA"]),
    );
    for name in [
        json!("ES256"),
        json!("RSA-OAEP"),
        json!("HS256"),
        json!("none"),
        json!(1),
    ] {
        let stated = with(key.clone(), json!({ "alg": name }));
        check(stated, Err(KeyProblem::AlgorithmUnsuitable));
    }
    let wrong_curve = with(point("P-384"), json!({ "alg": "ES256" }));
    check(wrong_curve, Err(KeyProblem::AlgorithmUnsuitable));
}

#[test]
fn a_key_for_other_uses_is_left_out() {
    check(with(public_jwk(), json!({ "use": "sig" })), Ok(&["EdDSA"]));
    check(
        with(public_jwk(), json!({ "key_ops": ["verify", "sign"] })),
        Ok(&["EdDSA"]),
    );
    for changes in [
        json!({ "use": "enc" }),
        json!({ "use": "other" }),
        json!({ "key_ops": ["sign"] }),
        json!({ "key_ops": [] }),
        json!({ "use": "enc", "key_ops": ["verify"] }),
    ] {
        check(with(public_jwk(), changes), Err(KeyProblem::WrongUse));
    }
}

#[test]
fn rsa_keys_have_2048_to_8192_bits_and_an_odd_modulus() {
    let e = &[1, 0, 1];
    check(rsa(&modulus(8192), e), Ok(RSA_ALL));
    check(rsa(&modulus(2049), e), Ok(RSA_ALL));
    let mut even = modulus(2048);
    *even.last_mut().unwrap() = 2;
    let leading_zero = [&[0], &*modulus(2048)].concat();
    for n in [
        modulus(512),
        modulus(1024),
        modulus(2047),
        modulus(8193),
        even,
        leading_zero,
        vec![],
    ] {
        check(rsa(&n, e), Err(KeyProblem::RsaModulus));
    }
}

#[test]
fn rsa_exponents_are_odd_and_from_3_to_33_bits() {
    let n = modulus(2048);
    check(rsa(&n, &[3]), Ok(RSA_ALL));
    check(rsa(&n, &[1, 0xff, 0xff, 0xff, 0xff]), Ok(RSA_ALL));
    for e in [
        &[][..],
        &[0],
        &[1],
        &[2],
        &[1, 0, 0],
        &[0, 1, 0, 1],
        &[2, 0, 0, 0, 1],
        &[1; 6],
    ] {
        check(rsa(&n, e), Err(KeyProblem::RsaExponent));
    }
}

#[test]
fn curve_points_must_be_on_their_curve() {
    for (curve, length) in [("P-256", 32), ("P-384", 48)] {
        let good = point(curve);
        let (x, y) = (good["x"].as_str().unwrap(), good["y"].as_str().unwrap());
        let swapped = with(good.clone(), json!({ "x": y, "y": x }));
        check(swapped, Err(KeyProblem::PointInvalid));
        let zero = encode(&vec![0; length]);
        let infinity = with(good.clone(), json!({ "x": zero, "y": zero }));
        check(infinity, Err(KeyProblem::PointInvalid));
        let past_the_field = encode(&vec![0xff; length]);
        check(
            with(good.clone(), json!({ "x": past_the_field })),
            Err(KeyProblem::PointInvalid),
        );
        check(
            with(good.clone(), json!({ "y": "" })),
            Err(KeyProblem::PointInvalid),
        );
        let short = encode(&vec![1; length - 1]);
        check(
            with(good.clone(), json!({ "y": short })),
            Err(KeyProblem::PointInvalid),
        );
    }
    let other_curve = with(point("P-256"), json!({ "crv": "P-384" }));
    check(other_curve, Err(KeyProblem::PointInvalid));
}

#[test]
fn edwards_keys_have_32_bytes_and_a_large_order() {
    let x = |bytes: &[u8]| with(public_jwk(), json!({ "x": encode(bytes) }));
    check(x(&[0; 32]), Err(KeyProblem::SmallOrder));
    check(x(&[0xff; 32]), Err(KeyProblem::PointInvalid));
    check(
        x(&[&[2][..], &[0; 31]].concat()),
        Err(KeyProblem::PointInvalid),
    );
    check(x(&[9; 31]), Err(KeyProblem::PointInvalid));
    check(x(&[9; 3]), Err(KeyProblem::PointInvalid));
    check(x(&[9; 33]), Err(KeyProblem::Malformed));
}

#[test]
fn other_kinds_of_keys_are_left_out() {
    check(
        json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }),
        Err(KeyProblem::Symmetric),
    );
    check(json!({ "kty": "oct" }), Err(KeyProblem::Symmetric));
    for key in [
        json!({}),
        json!({ "kty": "XYZ" }),
        json!({ "kty": 7 }),
        json!({ "kty": "RSA", "n": 1234, "e": "AQAB" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA" }),
        json!({ "kty": "OKP", "crv": "Ed448", "x": "AA" }),
        with(point("P-256"), json!({ "crv": "P-521" })),
        with(point("P-256"), json!({ "crv": "secp256k1" })),
    ] {
        check(key, Err(KeyProblem::Unsupported));
    }
    let padded = with(rsa(&modulus(2048), &[1, 0, 1]), json!({ "e": "AQAB====" }));
    check(padded, Err(KeyProblem::RsaExponent));
    check(
        with(public_jwk(), json!({ "kid": 7 })),
        Err(KeyProblem::InvalidKeyId),
    );
    check(
        with(public_jwk(), json!({ "kid": "k".repeat(256) })),
        Ok(&["EdDSA"]),
    );
    check(
        with(public_jwk(), json!({ "kid": "k".repeat(257) })),
        Err(KeyProblem::InvalidKeyId),
    );
}

#[test]
fn of_a_published_private_key_the_public_half_is_used_and_reported() {
    let keys = key_set(&[with(public_jwk(), json!({ "d": "secret-half" }))]);
    assert_eq!(keys.keys().len(), 1);
    assert_eq!(keys.notices().len(), 1);
    assert_eq!(keys.notices()[0].problem(), KeyProblem::PrivatePublished);
    assert!(keys.notices()[0].problem().is_usable());
    assert!(!keys.is_empty());
    assert!(!format!("{keys:?}").contains("secret-half"));
}

#[test]
fn one_bad_key_does_not_spoil_the_set() {
    let bad = json!({ "kty": "RSA", "kid": "bad\nkey" });
    let keys = key_set(&[bad, json!("no object"), public_jwk()]);
    assert_eq!(keys.keys().len(), 1);
    let notices: Vec<_> = keys.notices().iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "key 0 (Some(\"bad\\nkey\")): key type or curve not supported",
            "key 1 (None): a member is missing or malformed",
        ]
    );
    let places = keys.notices().iter().map(|it| (it.index(), it.key_id()));
    assert!(places.eq([(0, Some("bad\nkey")), (1, None)]));
    let usable = keys.notices().iter().any(|it| it.problem().is_usable());
    assert!(!usable);
}

#[test]
fn no_more_than_a_hundred_keys_are_loaded() {
    let named = |index: usize| with(public_jwk(), json!({ "kid": format!("k{index}") }));
    let list: Vec<_> = (0..150).map(named).collect();
    let keys = key_set(&list);
    assert_eq!(keys.keys().len(), 100);
    assert_eq!(keys.notices().len(), 1);
    assert_eq!(keys.notices()[0].problem(), KeyProblem::OverLimit);
    let bad: Vec<_> = (0..10_000).map(|_| json!({})).collect();
    assert_eq!(key_set(&bad).notices().len(), 101);
}

#[test]
fn the_document_as_a_whole_must_be_a_key_set() {
    for document in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kty":"RSA","kty":"EC"}]}"#,
        "<html>",
        r#"{"keys":[]} x"#,
    ] {
        assert!(KeySet::from_json(document).is_err(), "{document:?}");
    }
    let deep = format!(r#"{{"keys":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    assert!(KeySet::from_json(&deep).is_err());
    assert!(KeySet::from_json(r#"{"keys":[]}"#).unwrap().is_empty());
}

#[test]
fn a_set_read_with_jsonwebtoken_gives_the_same_keys() {
    let document = json!({ "keys": [public_jwk(), point("P-256")] }).to_string();
    let theirs: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&document).unwrap();
    assert_eq!(
        KeySet::from_jwk_set(&theirs).unwrap(),
        KeySet::from_json(&document).unwrap()
    );
}

#[test]
fn a_key_is_the_same_under_one_name_and_for_the_same_algorithms_alone() {
    let key = |changes: Value| key_set(&[with(public_jwk(), changes)]).keys()[0].clone();
    assert_eq!(key(json!({})), key(json!({})));
    assert_ne!(key(json!({})), key(json!({ "kid": "other" })));
    let rsa = |alg: Value| {
        let members = with(rsa(&modulus(2048), &[3]), json!({ "alg": alg }));
        key_set(&[members]).keys()[0].clone()
    };
    assert_ne!(rsa(json!("RS256")), rsa(json!("PS256")));
    assert_ne!(rsa(json!("RS256")), key(json!({ "kid": null })));
}

#[test]
fn thumbprints_are_those_of_rfc_7638() {
    // RFC 8037 appendix A.3.
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "any name",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let keys = key_set(&[key]);
    let thumbprint = keys.keys()[0].thumbprint();
    let expected = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert_eq!(thumbprint.to_string(), expected);
    assert_eq!(encode(thumbprint.as_bytes()), expected);
}

proptest! {
    #[test]
    fn never_panics(document in ".{0,200}") {
        let _ = KeySet::from_json(&document);
    }

    #[test]
    fn never_panics_on_members_of_any_content(
        kty in "RSA|EC|OKP|oct",
        crv in "P-256|P-384|Ed25519",
        text in "[A-Za-z0-9_=-]{0,80}",
    ) {
        let key = json!({ "kty": kty, "crv": crv, "n": text, "e": text, "x": text, "y": text });
        let _ = key_set(&[key]);
    }
}
