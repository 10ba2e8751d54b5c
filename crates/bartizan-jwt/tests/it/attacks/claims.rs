//! C1 to C9, C11 to C14: what the token claims.

use std::time::Duration;

use bartizan_core::Clock as _;
use bartizan_jwt::JwtLayer;
use serde_json::{Value, json};

use super::{Target, target};
use crate::support::{AUDIENCE, ISSUER, outcome, passed, refused};

async fn refuse_each(name: &str, values: &[Value], code: &str) {
    let target = target();
    for value in values {
        let token = target.token().claim(name, value.clone()).sign().unwrap();
        target.refuses(&token, code).await;
    }
}

async fn refuse_missing(name: &str) {
    let target = target();
    let token = target.token().without_claim(name).sign().unwrap();
    target.refuses(&token, "jwt.invalid_claim").await;
}

fn now(target: &Target) -> u64 {
    target.offline.clock.wall().unix_seconds()
}

#[tokio::test]
async fn c01_another_issuer_or_none() {
    refuse_missing("iss").await;
    let wrong = [
        json!(123),
        json!({}),
        json!(null),
        json!(["https://evil.example", ISSUER]),
    ];
    refuse_each("iss", &wrong, "jwt.invalid_claim").await;
    let others = [
        "",
        "https://ISSUER.example",
        "https://issuer.example/",
        "issuer.example",
    ];
    refuse_each("iss", &others.map(Value::from), "jwt.wrong_issuer").await;
}

#[tokio::test]
async fn c02_another_audience_or_none() {
    refuse_missing("aud").await;
    let wrong = [
        json!(null),
        json!(5),
        json!(["other", 5]),
        json!([AUDIENCE, 5]),
        json!({ "0": AUDIENCE }),
        json!([[AUDIENCE]]),
    ];
    refuse_each("aud", &wrong, "jwt.invalid_claim").await;
    let others = [
        json!([]),
        json!(["other"]),
        json!(""),
        json!(format!("{AUDIENCE}/")),
    ];
    refuse_each("aud", &others, "jwt.wrong_audience").await;
}

#[tokio::test]
async fn c03_an_id_token_in_place_of_an_access_token() {
    let target = target();
    // It is for the client that logs its user in, and says what it is.
    let id_token = target.token().audience("the-spa").header("typ", "JWT");
    target
        .refuses(&id_token.sign().unwrap(), "jwt.wrong_type")
        .await;
    refuse_each("aud", &[json!("the-spa")], "jwt.wrong_audience").await;
}

#[tokio::test]
async fn c04_an_expiry_that_is_no_date() {
    refuse_missing("exp").await;
    let wrong = [
        json!("1900000000"),
        json!(null),
        json!(-1),
        json!(1e20),
        json!(true),
        json!([1_900_000_000]),
    ];
    refuse_each("exp", &wrong, "jwt.invalid_claim").await;
    let target = target();
    let token = target
        .token()
        .raw_payload(r#"{"exp":1e400}"#)
        .sign()
        .unwrap();
    target.refuses(&token, "jwt.malformed").await;
}

#[tokio::test]
async fn c05_a_fraction_never_makes_a_token_live_longer() {
    let target = target();
    let expiry = (now(&target) - 30) as f64;
    let token = target.token().claim("exp", expiry + 0.999).sign().unwrap();
    target.refuses(&token, "jwt.expired").await;
    let token = target.token().claim("exp", expiry + 1.5).sign().unwrap();
    target.accepts(&token).await;
}

#[tokio::test]
async fn c06_an_expiry_past_all_measure() {
    refuse_each("exp", &[json!(u64::MAX)], "jwt.invalid_claim").await;
    let target = target();
    let rules = target.offline.rules();
    let rules = rules
        .require_max_lifetime(Duration::from_secs(3600))
        .build()
        .unwrap();
    let keys = target.offline.mint.jwks().to_string();
    let keys = bartizan_jwt::KeySet::from_json(&keys).unwrap();
    let config = bartizan_jwt::JwtConfig::builder(rules)
        .with_keys(keys)
        .with_clock(std::sync::Arc::new(target.offline.clock.clone()));
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    for (seconds, expected) in [
        (3600, passed()),
        (3601, refused(401, "jwt.lifetime_too_long")),
        (3_000_000_000, refused(401, "jwt.lifetime_too_long")),
    ] {
        let token = target.token().expires_in(Duration::from_secs(seconds));
        assert_eq!(outcome(&layer, &token.sign().unwrap()).await, expected);
    }
}

#[tokio::test]
async fn c07_the_last_second_of_a_token() {
    let target = target();
    let at = now(&target);
    let token = target.token().claim("exp", at - 29).sign().unwrap();
    target.accepts(&token).await;
    let token = target.token().claim("exp", at - 30).sign().unwrap();
    target.refuses(&token, "jwt.expired").await;
}

async fn refuse_future(name: &str, code: &str) {
    let target = target();
    let at = now(&target);
    let token = target.token().claim(name, at + 30).sign().unwrap();
    target.accepts(&token).await;
    for later in [31, 3_000_000_000_u64] {
        let token = target.token().claim(name, at + later).sign().unwrap();
        target.refuses(&token, code).await;
    }
    let wrong = [json!("1"), json!(null), json!(-1)];
    refuse_each(name, &wrong, "jwt.invalid_claim").await;
}

#[tokio::test]
async fn c08_a_token_that_is_not_valid_yet() {
    refuse_future("nbf", "jwt.not_yet_valid").await;
}

#[tokio::test]
async fn c09_a_token_that_was_issued_in_the_future() {
    refuse_future("iat", "jwt.issued_in_future").await;
}

#[tokio::test]
async fn c11_a_subject_that_is_none() {
    refuse_missing("sub").await;
    let wrong = [
        json!(1),
        json!(null),
        json!(""),
        json!("s".repeat(256)),
        json!(["alice"]),
    ];
    refuse_each("sub", &wrong, "jwt.invalid_claim").await;
    let target = target();
    let token = target.token().subject(&"s".repeat(255)).sign().unwrap();
    target.accepts(&token).await;
}

#[tokio::test]
async fn c13_a_client_or_an_identifier_that_is_missing() {
    for name in ["client_id", "jti", "iat"] {
        refuse_missing(name).await;
        refuse_each(name, &[json!(null), json!([])], "jwt.invalid_claim").await;
    }
}

#[tokio::test]
async fn c14_a_client_that_is_not_on_the_list() {
    let target = target();
    let rules = target.offline.rules();
    let rules = rules
        .require_client("shop")
        .require_client("till")
        .build()
        .unwrap();
    let keys = target.offline.mint.jwks().to_string();
    let keys = bartizan_jwt::KeySet::from_json(&keys).unwrap();
    let config = bartizan_jwt::JwtConfig::builder(rules)
        .with_keys(keys)
        .with_clock(std::sync::Arc::new(target.offline.clock.clone()));
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    for client in ["shop", "till"] {
        let token = target.token().client_id(client).sign().unwrap();
        assert_eq!(outcome(&layer, &token).await, passed());
    }
    for token in [
        target.token().client_id("shopp"),
        target.token().client_id("Shop"),
        target.token().client_id("evil").claim("azp", "shop"),
    ] {
        let expected = refused(401, "jwt.wrong_client");
        assert_eq!(outcome(&layer, &token.sign().unwrap()).await, expected);
    }
}

#[test]
fn c12_a_scope_is_compared_whole() {
    let target = target();
    let keys = bartizan_jwt::KeySet::from_json(&target.offline.mint.jwks().to_string()).unwrap();
    let rules = target.offline.rules().build().unwrap();
    let check = |name: &str, value: Value, held: &[&str], missing: &[&str]| {
        let token = target.token().without_claim("scope").claim(name, value);
        let now = target.offline.clock.wall();
        let token = bartizan_jwt::verify(&token.sign().unwrap(), &keys, &rules, now).unwrap();
        let principal = token.claims().principal();
        for scope in held {
            assert!(principal.has_scope(scope), "{scope}");
        }
        for scope in missing {
            assert!(!principal.has_scope(scope), "{scope}");
        }
    };
    check(
        "scope",
        json!("readonly a.b"),
        &["readonly", "a.b"],
        &["read", "a", "readonly a.b", ""],
    );
    check(
        "scope",
        json!(["read write", "x"]),
        &["x", "read write"],
        &["read", "write"],
    );
    check("scp", json!("one two"), &["one", "two"], &["one two"]);
    check("scp", json!(["one", "two"]), &["one", "two"], &["on"]);
}
