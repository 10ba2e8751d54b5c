//! Tokens that were verified before.

use std::sync::Arc;
use std::time::Duration;

use bartizan_jwt::{JwtConfig, JwtLayer, KeySet, Rules};
use bartizan_testkit::forge::flipped_signature;
use bartizan_testkit::{Endpoint, OldKey, SigningAlgorithm, SigningKey};

use crate::support::{AUDIENCE, ISSUER, Offline, Online, outcome, passed, refused, send};

fn es256() -> Offline {
    Offline::new(SigningAlgorithm::Es256)
}

#[tokio::test]
async fn a_token_is_remembered_once_and_names_the_same_principal() {
    let offline = es256();
    let layer = offline.layer();
    let token = offline.token().sign().unwrap();
    let first = send(&layer, &token).await;
    assert_eq!(layer.guard().cached_tokens(), 1);
    let second = send(&layer, &token).await;
    assert_eq!(layer.guard().cached_tokens(), 1);
    let principal =
        |answer: &bartizan_testkit::Answer| answer.json()["context"]["principal"].clone();
    assert_eq!(principal(&first), principal(&second));
    assert_eq!(principal(&second)["subject"], "alice");
}

#[tokio::test]
async fn forged_tokens_neither_fill_nor_flush_it() {
    let offline = es256();
    let config = offline.config().with_cached_tokens(4);
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let good = offline.token().sign().unwrap();
    assert_eq!(outcome(&layer, &good).await, passed());
    let thief = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
    for _ in 0..50 {
        let forged = offline.token().sign_with_foreign_key(&thief).unwrap();
        assert_eq!(
            outcome(&layer, &forged).await,
            refused(401, "jwt.bad_signature")
        );
    }
    assert_eq!(
        outcome(&layer, &flipped_signature(&good).unwrap()).await,
        refused(401, "jwt.bad_signature")
    );
    assert_eq!(layer.guard().cached_tokens(), 1);
    assert_eq!(outcome(&layer, &good).await, passed());
}

#[tokio::test]
async fn it_holds_no_more_tokens_than_it_was_told() {
    let offline = es256();
    let config = offline.config().with_cached_tokens(4);
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    for _ in 0..20 {
        assert_eq!(
            outcome(&layer, &offline.token().sign().unwrap()).await,
            passed()
        );
    }
    assert_eq!(layer.guard().cached_tokens(), 4);
    let off = offline.config().with_cached_tokens(0).build().unwrap();
    let off = JwtLayer::start(off).unwrap();
    assert_eq!(
        outcome(&off, &offline.token().sign().unwrap()).await,
        passed()
    );
    assert_eq!(off.guard().cached_tokens(), 0);
}

#[tokio::test]
async fn k11_a_remembered_token_expires() {
    let offline = es256();
    let layer = offline.layer();
    let token = offline
        .token()
        .expires_in(Duration::from_secs(10))
        .sign()
        .unwrap();
    assert_eq!(outcome(&layer, &token).await, passed());
    offline.clock.advance(Duration::from_secs(39));
    assert_eq!(outcome(&layer, &token).await, passed());
    offline.clock.advance(Duration::from_secs(1));
    assert_eq!(outcome(&layer, &token).await, refused(401, "jwt.expired"));
}

#[tokio::test]
async fn a_remembered_token_that_is_not_valid_yet_after_the_clock_went_back_is_refused() {
    let offline = es256();
    let layer = offline.layer();
    let token = offline.token().sign().unwrap();
    assert_eq!(outcome(&layer, &token).await, passed());
    offline.clock.set_wall_back(Duration::from_secs(31));
    assert_eq!(
        outcome(&layer, &token).await,
        refused(401, "jwt.issued_in_future")
    );
}

#[tokio::test]
async fn k03_a_remembered_token_is_refused_and_forgotten_once_its_key_left_the_set() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let old = online.token().sign().unwrap();
    assert_eq!(outcome(&layer, &old).await, passed());
    online.issuer.rotate(OldKey::Remove).unwrap();
    assert_eq!(outcome(&layer, &old).await, passed(), "not fetched yet");
    let new = online.token().sign().unwrap();
    assert_eq!(outcome(&layer, &new).await, passed());
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 2);
    assert_eq!(
        layer.guard().cached_tokens(),
        1,
        "the old one is not kept in memory"
    );
    assert_eq!(outcome(&layer, &old).await, refused(401, "jwt.unknown_key"));
}

#[tokio::test]
async fn a_remembered_token_outlives_a_rotation_that_keeps_its_key() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let old = online.token().sign().unwrap();
    assert_eq!(outcome(&layer, &old).await, passed());
    online.issuer.rotate(OldKey::Keep).unwrap();
    let new = online.token().sign().unwrap();
    assert_eq!(outcome(&layer, &new).await, passed());
    assert_eq!(layer.guard().cached_tokens(), 2);
    assert_eq!(outcome(&layer, &old).await, passed());
}

#[tokio::test]
async fn k10_two_layers_never_share_what_they_verified() {
    let offline = es256();
    let config = offline.config().build().unwrap();
    let lax = JwtLayer::start(config.clone()).unwrap();
    let twin = JwtLayer::start(config).unwrap();
    let rules = Rules::builder(ISSUER, "https://payments.example")
        .build()
        .unwrap();
    let keys = KeySet::from_json(&offline.mint.jwks().to_string()).unwrap();
    let other = JwtConfig::builder(rules)
        .with_keys(keys)
        .with_clock(Arc::new(offline.clock.clone()));
    let other = JwtLayer::start(other.build().unwrap()).unwrap();
    let token = offline.token().audience(AUDIENCE).sign().unwrap();
    assert_eq!(outcome(&lax, &token).await, passed());
    assert_eq!(lax.guard().cached_tokens(), 1);
    assert_eq!(twin.guard().cached_tokens(), 0);
    assert_eq!(
        outcome(&other, &token).await,
        refused(401, "jwt.wrong_audience")
    );
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let offline = es256();
    let refused = |config: bartizan_jwt::JwtConfigBuilder| config.build().unwrap_err().to_string();
    let config = || offline.config();
    assert!(refused(config().with_cached_tokens((1 << 20) + 1)).contains("cached tokens"));
    for span in [0, 301] {
        let config = config().with_cache_lifetime(Duration::from_secs(span));
        assert!(refused(config).contains("cache lifetime"));
    }
}
