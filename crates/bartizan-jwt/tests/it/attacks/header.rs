//! H1 to H22: what the header says.

use std::sync::Arc;

use bartizan_jwt::{Algorithm, JwtConfig, JwtLayer, KeyProblem, KeySet, Rules};
use bartizan_testkit::{SigningAlgorithm, SigningKey, TokenMint};
use serde_json::json;

use super::{Target, rsa, target};
use crate::support::{AUDIENCE, ISSUER, Offline, outcome, passed, refused};

#[tokio::test]
async fn h01_alg_none_in_any_case() {
    let target = target();
    for name in ["none", "None", "NONE", "nOnE"] {
        let token = target.token().unsigned(name);
        target.refuses(&token, "jwt.algorithm_not_allowed").await;
    }
}

#[tokio::test]
async fn h02_alg_missing_or_of_another_type_or_case() {
    let target = target();
    let missing = target.token().without_header("alg").sign().unwrap();
    target.refuses(&missing, "jwt.malformed").await;
    for value in [json!(null), json!(1), json!(["ES256"]), json!({})] {
        let token = target.token().header("alg", value).sign().unwrap();
        target.refuses(&token, "jwt.malformed").await;
    }
    let token = target.token().header("alg", "es256").sign().unwrap();
    target.refuses(&token, "jwt.algorithm_not_allowed").await;
}

#[tokio::test]
async fn h03_a_public_key_as_the_secret_of_a_mac() {
    let target = target();
    let token = target.token().sign_hs256_with_public_key();
    target.refuses(&token, "jwt.algorithm_not_allowed").await;
    let key = target.offline.mint.signing_key();
    for secret in [
        key.public_key_der(),
        key.public_jwk().to_string().into_bytes(),
    ] {
        let token = target.token().sign_hs256(&secret);
        target.refuses(&token, "jwt.algorithm_not_allowed").await;
    }
}

#[tokio::test]
async fn h04_a_symmetric_key_in_a_published_set() {
    let target = target();
    let mint = &target.offline.mint;
    mint.publish_jwk(json!({ "kty": "oct", "kid": "mac", "alg": "HS256", "k": "c2VjcmV0" }));
    let keys = KeySet::from_json(&mint.jwks().to_string()).unwrap();
    assert_eq!(keys.keys().len(), 1);
    let problems: Vec<_> = keys.notices().iter().map(|n| n.problem()).collect();
    assert_eq!(problems, [KeyProblem::Symmetric]);
    let token = target.token().header("kid", "mac").sign_hs256(b"secret");
    target.refuses(&token, "jwt.algorithm_not_allowed").await;
}

#[tokio::test]
async fn h05_an_algorithm_that_is_not_the_keys_or_not_the_services() {
    let mut offline = Offline::new(SigningAlgorithm::Es256);
    let key = SigningKey::from_rsa(rsa(), SigningAlgorithm::Rs256, "key-1").unwrap();
    offline.mint = TokenMint::with_key(ISSUER, key, Arc::new(offline.clock.clone()));
    let layer = offline.layer();
    assert_eq!(
        outcome(&layer, &offline.token().sign().unwrap()).await,
        passed()
    );
    // The key could do it; its `alg` says RS256.
    for algorithm in [SigningAlgorithm::Ps256, SigningAlgorithm::Rs512] {
        let token = offline.token().algorithm(algorithm).sign().unwrap();
        let expected = refused(401, "jwt.algorithm_not_allowed");
        assert_eq!(outcome(&layer, &token).await, expected);
    }
    let token = offline.token().header("alg", "RS1").sign().unwrap();
    let expected = refused(401, "jwt.algorithm_not_allowed");
    assert_eq!(outcome(&layer, &token).await, expected);

    let both = Target::new(SigningAlgorithm::Es256);
    let mint = &both.offline.mint;
    mint.publish(SigningKey::from_rsa(rsa(), SigningAlgorithm::Rs256, "rsa").unwrap());
    let keys = KeySet::from_json(&mint.jwks().to_string()).unwrap();
    let rules = Rules::builder(ISSUER, AUDIENCE).with_algorithms([Algorithm::Rs256]);
    let config = JwtConfig::builder(rules.build().unwrap())
        .with_keys(keys)
        .with_clock(Arc::new(both.offline.clock.clone()));
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let token = both.token().sign().unwrap();
    assert_eq!(outcome(&layer, &token).await, expected);
}

#[tokio::test]
async fn h06_a_curve_that_is_not_the_algorithms() {
    for (key, stated) in [
        (SigningAlgorithm::Es384, "ES256"),
        (SigningAlgorithm::Es256, "ES384"),
    ] {
        let target = Target::new(key);
        let token = target.token().header("alg", stated).sign().unwrap();
        target.refuses(&token, "jwt.algorithm_not_allowed").await;
    }
}

#[tokio::test]
async fn h07_a_key_that_the_token_brings_along() {
    let target = target();
    let thief = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
    let token = target.token().sign_with_embedded_key(&thief).unwrap();
    target.refuses(&token, "jwt.bad_signature").await;
}

async fn ignore_each(members: &[(&str, serde_json::Value)]) {
    let target = target();
    let thief = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
    for (name, value) in members {
        let token = target.token().header(name, value.clone());
        let forged = token.sign_with_foreign_key(&thief).unwrap();
        target.refuses(&forged, "jwt.bad_signature").await;
        target.accepts(&token.sign().unwrap()).await;
    }
}

#[tokio::test]
async fn h08_a_key_that_the_token_points_to_is_never_fetched() {
    ignore_each(&[
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("http://169.254.169.254/latest")),
    ])
    .await;
}

#[tokio::test]
async fn h09_a_certificate_that_the_token_brings_is_never_trusted() {
    ignore_each(&[("x5c", json!(["AAAA"])), ("x5t", json!("AAAA"))]).await;
}

#[tokio::test]
async fn h10_crit_whatever_it_says() {
    let target = target();
    for value in [
        json!(["x-unknown"]),
        json!([]),
        json!("exp"),
        json!(["exp", "exp"]),
        json!(["alg"]),
        json!(["absent"]),
        json!(null),
    ] {
        let token = target.token().header("crit", value).sign().unwrap();
        target.refuses(&token, "jwt.unsupported_header").await;
    }
}

async fn refuse_parameters(members: &[(&str, serde_json::Value)]) {
    let target = target();
    for (name, value) in members {
        let token = target.token().header(name, value.clone());
        let named = token.clone().header("crit", json!([name]));
        for token in [token, named] {
            let token = token.sign().unwrap();
            target.refuses(&token, "jwt.unsupported_header").await;
        }
    }
}

#[tokio::test]
async fn h11_a_payload_that_is_not_encoded() {
    refuse_parameters(&[("b64", json!(false)), ("b64", json!(true))]).await;
}

#[tokio::test]
async fn h12_parameters_of_encryption_and_compression() {
    refuse_parameters(&[
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("epk", json!({})),
    ])
    .await;
}

#[tokio::test]
async fn h13_a_kid_is_looked_up_as_bytes_and_never_used_otherwise() {
    let target = target();
    for kid in [
        "' OR 1=1 --",
        "../../etc/passwd",
        "https://evil.example/",
        "a\0b",
        "key-1\n",
        "KEY-1",
        &"k".repeat(256),
    ] {
        let token = target.token().header("kid", kid).sign().unwrap();
        target.refuses(&token, "jwt.unknown_key").await;
    }
    for kid in [
        json!("k".repeat(257)),
        json!(["key-1"]),
        json!(1),
        json!(null),
    ] {
        let token = target.token().header("kid", kid).sign().unwrap();
        target.refuses(&token, "jwt.malformed").await;
    }
}

#[tokio::test]
async fn h14_a_token_without_kid_tries_the_few_keys_that_fit() {
    let target = target();
    let mint = &target.offline.mint;
    let token = target.token().without_header("kid").sign().unwrap();
    target.accepts(&token).await;
    for number in 2..6 {
        let name = format!("key-{number}");
        mint.publish(SigningKey::generate(SigningAlgorithm::Es256, name).unwrap());
        let layer = target.offline.layer();
        let expected = match number {
            2..=4 => passed(),
            _ => refused(401, "jwt.unknown_key"),
        };
        assert_eq!(outcome(&layer, &token).await, expected, "{number} keys");
    }
}

#[tokio::test]
async fn h15_a_member_of_the_header_twice() {
    let target = target();
    for header in [
        r#"{"alg":"ES256","alg":"ES256","kid":"key-1","typ":"at+jwt"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"key-1","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"key-1","typ":"at+jwt","x":1,"x":2}"#,
        r#"{"alg":"ES256","kid":"key-1","typ":"at+jwt","\u0061lg":"none"}"#,
    ] {
        let token = target.token().raw_header(header).sign().unwrap();
        target.refuses(&token, "jwt.malformed").await;
    }
}

#[tokio::test]
async fn h17_two_keys_of_one_name_are_both_tried() {
    let target = target();
    let mint = &target.offline.mint;
    mint.publish(SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap());
    let layer = target.offline.layer();
    let token = target.token().sign().unwrap();
    assert_eq!(outcome(&layer, &token).await, passed());
}

#[tokio::test]
async fn h18_a_key_for_another_use_verifies_nothing() {
    let target = target();
    let mint = &target.offline.mint;
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("ECDH-ES")),
    ] {
        let key = SigningKey::generate(SigningAlgorithm::Es256, "other").unwrap();
        let mut jwk = key.bare_public_jwk();
        let members = jwk.as_object_mut().unwrap();
        members.insert("kid".to_owned(), json!("other"));
        members.insert(name.to_owned(), value);
        let set = json!({ "keys": [jwk, mint.signing_key().public_jwk()] });
        let keys = KeySet::from_json(&set.to_string()).unwrap();
        assert_eq!(keys.keys().len(), 1, "{name}");
        let config = target.offline.config().with_keys(keys);
        let layer = JwtLayer::start(config.build().unwrap()).unwrap();
        let token = target.token().key(&key).sign().unwrap();
        let expected = refused(401, "jwt.unknown_key");
        assert_eq!(outcome(&layer, &token).await, expected, "{name}");
    }
}

#[test]
fn h19_the_private_half_of_a_published_key_is_dropped_and_told() {
    let target = target();
    let mut jwk = target.offline.mint.signing_key().public_jwk();
    let members = jwk.as_object_mut().unwrap();
    members.insert("d".to_owned(), json!("AAAA"));
    let keys = KeySet::from_json(&json!({ "keys": [jwk] }).to_string()).unwrap();
    assert_eq!(keys.keys().len(), 1);
    let problems: Vec<_> = keys.notices().iter().map(|n| n.problem()).collect();
    assert_eq!(problems, [KeyProblem::PrivatePublished]);
}

#[tokio::test]
async fn h20_a_token_in_a_token() {
    let target = target();
    for kind in ["JWT", "jwt", "application/jwt", "application/at+jwt"] {
        let token = target.token().header("cty", kind).sign().unwrap();
        target.refuses(&token, "jwt.unsupported_header").await;
    }
    // Five parts are an encrypted token.
    target.refuses("e30.a.b.c.d", "jwt.malformed").await;
}

#[tokio::test]
async fn h21_another_type_of_token() {
    let target = target();
    for kind in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/AT+jwt",
    ] {
        let token = target.token().header("typ", kind).sign().unwrap();
        target.accepts(&token).await;
    }
    for kind in [
        "JWT",
        "dpop+jwt",
        "logout+jwt",
        "token-introspection+jwt",
        "secevent+jwt",
        "",
    ] {
        let token = target.token().header("typ", kind).sign().unwrap();
        target.refuses(&token, "jwt.wrong_type").await;
    }
    let token = target.token().without_header("typ").sign().unwrap();
    target.refuses(&token, "jwt.wrong_type").await;
}

#[test]
fn h22_only_the_compact_form_is_a_token() {
    let target = target();
    let token = target.token().sign().unwrap();
    let mut parts = token.split('.');
    let mut part = || parts.next().unwrap();
    let form = json!({ "protected": part(), "payload": part(), "signature": part() });
    let keys = KeySet::from_json(&target.offline.mint.jwks().to_string()).unwrap();
    let rules = target.offline.rules().build().unwrap();
    let now = bartizan_core::Clock::wall(&target.offline.clock);
    for text in [
        form.to_string(),
        json!({ "signatures": [form] }).to_string(),
    ] {
        let refused = bartizan_jwt::verify(&text, &keys, &rules, now).unwrap_err();
        assert_eq!(refused.kind(), bartizan_jwt::JwtErrorKind::Malformed);
    }
    assert!(bartizan_jwt::verify(&token, &keys, &rules, now).is_ok());
}
