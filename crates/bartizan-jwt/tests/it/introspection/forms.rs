//! Which tokens are asked about, and which are never.

use std::time::Duration;

use bartizan_jwt::{ConfigError, JwtConfig};
use bartizan_testkit::{SigningAlgorithm, SigningKey, forge};

use super::Desk;
use crate::support::{outcome, passed, refused};

#[tokio::test]
async fn a_token_that_states_its_claims_is_verified_and_never_asked_about() {
    let desk = Desk::new().await;
    let layer = desk.layer().await;
    let good = desk.token();
    let signed = good.sign().unwrap();
    assert_eq!(outcome(&layer, &signed).await, passed());
    let thief = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
    let (header, rest) = signed.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    for token in [
        good.clone()
            .expired_since(Duration::from_secs(60))
            .sign()
            .unwrap(),
        good.clone()
            .audience("https://other.example")
            .sign()
            .unwrap(),
        good.clone().issuer("https://other.example").sign().unwrap(),
        good.clone().header("kid", "unknown").sign().unwrap(),
        good.clone().header("typ", "JWT").sign().unwrap(),
        good.sign_with_foreign_key(&thief).unwrap(),
        good.sign_hs256_with_public_key(),
        good.unsigned("none"),
        forge::tampered_claim(&signed, "sub", "admin").unwrap(),
        format!("{signed}."),
        format!(".{signed}"),
        format!("{signed}=="),
        format!("{signed}~"),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!("x.{payload}.{signature}"),
        format!("{header}=.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}.a.b"),
    ] {
        let (status, code) = outcome(&layer, &token).await;
        assert!((400..=401).contains(&status), "{status} {code:?} {token}");
        assert_ne!(code.as_deref(), Some("jwt.inactive"), "{token}");
    }
    assert_eq!(
        desk.asked(),
        0,
        "the issuer would have vouched for some of them"
    );
}

#[tokio::test]
async fn every_token_is_asked_about_where_that_was_chosen() {
    let desk = Desk::new().await;
    let layer = desk.asking(desk.introspection());
    let signed = desk.token().sign().unwrap();
    assert_eq!(outcome(&layer, &signed).await, passed());
    let forged = forge::tampered_claim(&signed, "sub", "admin").unwrap();
    assert_eq!(outcome(&layer, &forged).await, refused(401, "jwt.inactive"));
    assert_eq!((desk.asked(), layer.guard().cached_tokens()), (2, 0));
    assert_eq!(layer.guard().rules().count(), 1);
}

#[tokio::test]
async fn tokens_are_not_both_verified_and_all_asked_about() {
    let desk = Desk::new().await;
    let introspection = desk.introspection().build().unwrap();
    let other = desk.online.config().build().unwrap();
    let config = JwtConfig::introspecting(introspection)
        .add_issuer(other)
        .build();
    assert!(matches!(config, Err(ConfigError::IntrospectsAll)));
}

#[tokio::test]
async fn a_token_that_is_too_long_or_no_token_is_not_asked_about() {
    let desk = Desk::new().await;
    let layer = desk.layer().await;
    assert_eq!(
        outcome(&layer, &"x".repeat(8193)).await,
        refused(401, "jwt.too_large")
    );
    for token in ["a b", "\"a\"", "a;b"] {
        assert_eq!(
            outcome(&layer, token).await,
            refused(400, "jwt.malformed_credentials")
        );
    }
    assert_eq!(
        outcome(&layer, "a,b").await,
        refused(400, "jwt.multiple_tokens")
    );
    assert_eq!(desk.asked(), 0);
}
