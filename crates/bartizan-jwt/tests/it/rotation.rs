//! New keys under old names, new names under attack, and what issuers in trouble cost.

use std::time::Duration;

use bartizan_jwt::JwtLayer;
use bartizan_testkit::{Call, Endpoint, Fault, Host, OldKey, SigningAlgorithm, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Online, outcome, passed, refused, send, status_at_once};

/// As long as the cool-down is.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// A token with everything right but its signature and the name of its key.
fn forged(online: &Online, kid: &str) -> String {
    let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }).to_string();
    let token = online.token();
    let claims = json!(token.claims()).to_string();
    let parts = [header.as_bytes(), claims.as_bytes(), &[1; 64]];
    parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

/// What became of these tokens, sent all at once.
async fn outcomes(layer: &JwtLayer, tokens: Vec<String>) -> Vec<(u16, Option<String>)> {
    let mut requests = JoinSet::new();
    for token in tokens {
        let layer = layer.clone();
        requests.spawn(async move { outcome(&layer, &token).await });
    }
    requests.join_all().await
}

#[tokio::test]
async fn a_name_that_was_given_to_a_new_key_is_noticed_at_once() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let old = online.token().sign().unwrap();
    assert_eq!(outcome(&layer, &old).await, passed());
    for (algorithm, fetches) in [(SigningAlgorithm::Es256, 2), (SigningAlgorithm::EdDsa, 3)] {
        let key = SigningKey::generate(algorithm, "key-1").unwrap();
        online.issuer.mint().rotate_to(key, OldKey::Remove);
        let new = online.token().sign().unwrap();
        assert_eq!(outcome(&layer, &new).await, passed(), "{algorithm:?}");
        assert_eq!(online.issuer.requests(Endpoint::Jwks), fetches);
        online.clock.advance(COOL_DOWN);
    }
    // It was remembered; its key is not the one of that name any more.
    assert_eq!(outcome(&layer, &old).await.0, 401);
}

#[tokio::test]
async fn forged_signatures_under_a_known_name_cause_one_fetch_per_cool_down() {
    let online = Online::new().await;
    let layer = online.layer().await;
    for fetches in [2, 3] {
        let tokens = (0..500).map(|_| forged(&online, "key-1")).collect();
        for answer in outcomes(&layer, tokens).await {
            assert_eq!(answer, refused(401, "jwt.bad_signature"));
        }
        assert_eq!(online.issuer.requests(Endpoint::Jwks), fetches);
        let good = online.token().sign().unwrap();
        assert_eq!(outcome(&layer, &good).await, passed());
        online.clock.advance(COOL_DOWN);
    }
}

#[tokio::test]
async fn forged_signatures_and_unknown_names_share_one_budget() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let bad = forged(&online, "key-1");
    assert_eq!(
        outcome(&layer, &bad).await,
        refused(401, "jwt.bad_signature")
    );
    let unknown = forged(&online, "unknown");
    assert_eq!(
        outcome(&layer, &unknown).await,
        refused(401, "jwt.unknown_key"),
        "the issuer was asked in the same moment"
    );
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 2);
}

#[tokio::test]
async fn a_forged_signature_is_refused_and_not_unchecked_while_the_issuer_is_down() {
    let online = Online::new().await;
    let layer = online.layer().await;
    online.issuer.set_fault(Endpoint::Jwks, Fault::Status(500));
    let bad = forged(&online, "key-1");
    assert_eq!(
        outcome(&layer, &bad).await,
        refused(401, "jwt.bad_signature")
    );
}

#[tokio::test]
async fn a_rotation_behind_a_forged_name_is_unchecked_until_keys_may_be_fetched_again() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let known = online.token().sign().unwrap();
    let random = forged(&online, "random");
    assert_eq!(
        outcome(&layer, &random).await,
        refused(401, "jwt.unknown_key"),
        "the issuer was asked, and does not know it"
    );
    online.clock.advance(Duration::from_secs(1));
    online.issuer.rotate(OldKey::Keep).unwrap();
    let new = online.token().sign().unwrap();
    let answer = send(&layer, &new).await;
    assert_eq!(answer.http_status.as_u16(), 503);
    assert_eq!(answer.code().as_deref(), Some("jwt.keys_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("29"));
    assert_eq!(answer.header("www-authenticate"), None);
    let call = Call::echo("").with_bearer(&new).unwrap();
    let answer = Host::TonicRoutes.send(&layer, &call).await.unwrap();
    assert_eq!(answer.grpc_status, Some(14));
    assert_eq!(outcome(&layer, &known).await, passed());
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 2);
    online.clock.advance(Duration::from_secs(29));
    assert_eq!(outcome(&layer, &new).await, passed());
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 3);
}

#[tokio::test]
async fn a_token_that_is_older_than_the_keys_and_names_none_of_them_is_refused() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let old = online.token_of_unknown_key("withdrawn-long-ago");
    online.clock.advance(Duration::from_secs(100));
    // The issuer is asked now; the token was there long before.
    let random = forged(&online, "random");
    assert_eq!(outcome(&layer, &random).await.0, 401);
    online.clock.advance(Duration::from_secs(1));
    assert_eq!(outcome(&layer, &old).await, refused(401, "jwt.unknown_key"));
    let young = online.token_of_unknown_key("young");
    assert_eq!(
        outcome(&layer, &young).await,
        refused(503, "jwt.keys_unavailable")
    );
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 2);
}

#[tokio::test]
async fn a_fetch_that_began_before_a_request_came_settles_nothing_for_it() {
    let online = Online::new().await;
    let config = online.config().with_patience(Duration::from_secs(30));
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    let slow = Fault::Drip(Duration::from_millis(1));
    online.issuer.set_fault(Endpoint::Jwks, slow);
    let spawn = |token: String| {
        let layer = layer.clone();
        tokio::spawn(async move { outcome(&layer, &token).await })
    };
    let first = spawn(forged(&online, "first"));
    online.issuer.requests_reach(Endpoint::Jwks, 2).await;
    online.clock.advance(Duration::from_secs(2));
    // What the issuer has begun to say may be older than this one.
    let second = spawn(forged(&online, "second"));
    assert_eq!(first.await.unwrap(), refused(401, "jwt.unknown_key"));
    assert_eq!(second.await.unwrap(), refused(503, "jwt.keys_unavailable"));
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 2);
}

#[tokio::test]
async fn k01_ten_thousand_unknown_names_cause_one_fetch_per_cool_down() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let good = online.token().sign().unwrap();
    let flood = async |round: usize, expected: &(u16, Option<String>)| {
        for part in 0..20 {
            let name = |number: usize| format!("random-{round}-{part}-{number}");
            let tokens = (0..500).map(|number| forged(&online, &name(number)));
            for answer in outcomes(&layer, tokens.collect()).await {
                assert_eq!(answer, *expected);
            }
            // Good keys are never pushed out, and nobody waits.
            assert_eq!(status_at_once(&layer, &good), 200);
        }
    };
    flood(1, &refused(401, "jwt.unknown_key")).await;
    assert_eq!(
        online.issuer.requests(Endpoint::Jwks),
        2,
        "the first fetch, and one for the flood"
    );
    online.clock.advance(Duration::from_secs(29));
    flood(2, &refused(503, "jwt.keys_unavailable")).await;
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 2);
    online.clock.advance(Duration::from_secs(1));
    let last = forged(&online, "last");
    assert_eq!(
        outcome(&layer, &last).await,
        refused(401, "jwt.unknown_key")
    );
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 3);
}

#[tokio::test]
async fn k04_an_issuer_in_trouble_never_delays_a_request_whose_key_is_known() {
    for fault in [
        Fault::Hang,
        Fault::Drip(Duration::from_millis(50)),
        Fault::Huge(100 << 20),
        Fault::Disconnect,
        Fault::Status(500),
        Fault::Html,
        Fault::EmptyKeySet,
        Fault::Redirect("http://169.254.169.254/".to_owned()),
    ] {
        let online = Online::new().await;
        let config = online.config().with_patience(Duration::from_secs(30));
        let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
        online.issuer.set_fault(Endpoint::Jwks, fault.clone());
        let mut waiting = JoinSet::new();
        for name in ["unknown", "key-1"] {
            let (layer, token) = (layer.clone(), forged(&online, name));
            waiting.spawn(async move { outcome(&layer, &token).await });
        }
        online.issuer.requests_reach(Endpoint::Jwks, 2).await;
        for _ in 0..20 {
            let fresh = online.token().sign().unwrap();
            // Verified the first time, remembered the second.
            assert_eq!(status_at_once(&layer, &fresh), 200, "{fault:?}");
            assert_eq!(status_at_once(&layer, &fresh), 200, "{fault:?}");
        }
        waiting.shutdown().await;
        let fresh = online.token().sign().unwrap();
        assert_eq!(
            status_at_once(&layer, &fresh),
            200,
            "whoever waited went away"
        );
    }
}
