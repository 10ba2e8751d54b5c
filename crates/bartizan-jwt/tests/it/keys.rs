//! Keys from an issuer over real TLS: rotation, outages, floods.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Event, observe_fn};
use bartizan_jwt::{HttpsFetcher, JwtLayer};
use bartizan_testkit::{Endpoint, Fault, OldKey};
use serde_json::json;

use crate::support::{Online, outcome, passed, refused};

#[tokio::test]
async fn k02_rotation_picks_up_a_new_key_at_once_and_keeps_the_old() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let old = online.token().sign().unwrap();
    online.issuer.rotate(OldKey::Keep).unwrap();
    let new = online.token().sign().unwrap();
    assert_eq!(outcome(&layer, &new).await, passed());
    assert_eq!(outcome(&layer, &old).await, passed());
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 2);
    assert_eq!(
        layer
            .guard()
            .key_status(online.issuer.issuer())
            .unwrap()
            .generation(),
        2
    );
}

#[tokio::test]
async fn rotation_is_noticed_by_tokens_that_name_no_key() {
    let online = Online::new().await;
    let layer = online.layer().await;
    online.issuer.rotate(OldKey::Remove).unwrap();
    let new = online.token().without_header("kid").sign().unwrap();
    assert_eq!(outcome(&layer, &new).await, passed());
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 2);
}

#[tokio::test]
async fn k03_a_key_that_left_the_set_is_refused_once_the_set_was_fetched() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let old = online.token().sign().unwrap();
    assert_eq!(outcome(&layer, &old).await, passed());
    online.issuer.rotate(OldKey::Remove).unwrap();
    assert_eq!(
        outcome(&layer, &online.token().sign().unwrap()).await,
        passed()
    );
    assert_eq!(outcome(&layer, &old).await, refused(401, "jwt.unknown_key"));
}

#[tokio::test]
async fn a_token_that_fails_for_another_reason_causes_no_fetch() {
    let online = Online::new().await;
    let layer = online.layer().await;
    let token = || online.token().header("kid", "unknown");
    for token in [
        token().issuer("https://evil.example").sign().unwrap(),
        token().audience("https://other.example").sign().unwrap(),
        token()
            .expired_since(Duration::from_secs(60))
            .sign()
            .unwrap(),
        token().unsigned("none"),
        token()
            .header("jku", "https://evil.example/keys")
            .issuer("x")
            .sign()
            .unwrap(),
    ] {
        assert_eq!(outcome(&layer, &token).await.0, 401);
    }
    assert_eq!(online.issuer.requests(Endpoint::Jwks), 1);
}

#[tokio::test]
async fn k04_an_issuer_that_is_down_leaves_known_keys_working() {
    let online = Online::new().await;
    let fetcher = HttpsFetcher::builder()
        .with_roots(online.roots())
        .with_deadline(Duration::from_millis(300))
        .build()
        .unwrap();
    let config = online.config().with_fetcher(fetcher).build().unwrap();
    let layer = JwtLayer::load(config).await.unwrap();
    let unknown = || online.token_of_unknown_key("unknown");
    for fault in [
        Fault::Disconnect,
        Fault::Status(500),
        Fault::Hang,
        Fault::Drip(Duration::from_millis(50)),
        Fault::Html,
        Fault::Huge(100 << 20),
        Fault::EmptyKeySet,
        Fault::Redirect("http://169.254.169.254/".to_owned()),
        Fault::Body("{\"keys\":[],\"keys\":[]}".into()),
        Fault::Body("[".repeat(10_000).into()),
        Fault::Body(vec![0xff; 100].into()),
    ] {
        online.issuer.set_fault(Endpoint::Jwks, fault.clone());
        online.clock.advance(Duration::from_secs(30));
        let answer = outcome(&layer, &unknown()).await;
        assert_eq!(answer, refused(503, "jwt.keys_unavailable"), "{fault:?}");
        let good = online.token().sign().unwrap();
        assert_eq!(outcome(&layer, &good).await, passed(), "{fault:?}");
        assert!(
            layer
                .guard()
                .key_status(online.issuer.issuer())
                .unwrap()
                .is_failing()
        );
    }
    online.issuer.clear_fault(Endpoint::Jwks);
    // A retry in the background may still be under way, and meet the last fault.
    while layer
        .guard()
        .key_status(online.issuer.issuer())
        .unwrap()
        .is_failing()
    {
        online.clock.advance(Duration::from_secs(30));
        outcome(&layer, &unknown()).await;
    }
    assert_eq!(
        outcome(&layer, &unknown()).await,
        refused(401, "jwt.unknown_key")
    );
}

#[tokio::test]
async fn k06_one_malformed_key_does_not_spoil_the_set() {
    let online = Online::new().await;
    online.issuer.set_fault(Endpoint::Jwks, Fault::MalformedKey);
    let layer = online.layer().await;
    assert_eq!(
        outcome(&layer, &online.token().sign().unwrap()).await,
        passed()
    );
}

#[tokio::test]
async fn keys_that_are_ignored_or_should_not_be_seen_are_reported() {
    let online = Online::new().await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let observer = observe_fn(move |event| {
        if let Event::Lifecycle(event) = event
            && event.layer() == "jwt"
        {
            let detail = event.detail().map(ToString::to_string).unwrap_or_default();
            sink.lock()
                .unwrap()
                .push(format!("{} {detail}", event.code()));
        }
    });
    let mut published = online.issuer.jwks();
    published["keys"][0]["d"] = "secret-half".into();
    let others = [
        json!({ "kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "for-encryption", "n": "AQAB", "e": "AQAB", "use": "enc" }),
    ];
    published["keys"].as_array_mut().unwrap().extend(others);
    online
        .issuer
        .set_fault(Endpoint::Jwks, Fault::Body(published.to_string().into()));
    let config = online
        .config()
        .with_observer(Arc::new(observer))
        .build()
        .unwrap();
    let layer = JwtLayer::load(config).await.unwrap();
    assert_eq!(
        outcome(&layer, &online.token().sign().unwrap()).await,
        passed()
    );
    assert_eq!(
        *events.lock().unwrap(),
        [
            "jwt.private_key_published key 0 (Some(\"key-1\")): the private half is published",
            "jwt.key_ignored key 1 (Some(\"weak\")): RSA modulus even, or not of 2048 to 8192 bits",
        ]
    );
}

#[tokio::test]
async fn keys_that_are_too_old_are_not_relied_on() {
    let online = Online::new().await;
    let config = online
        .config()
        .with_key_lifetime(Duration::from_secs(600))
        .with_stale_limit(Duration::from_secs(3600));
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    online.issuer.set_fault(Endpoint::Jwks, Fault::Disconnect);
    online.clock.advance(Duration::from_secs(3599));
    assert_eq!(
        outcome(&layer, &online.token().sign().unwrap()).await,
        passed()
    );
    online.clock.advance(Duration::from_secs(1));
    let token = online.token().sign().unwrap();
    assert_eq!(
        outcome(&layer, &token).await,
        refused(503, "jwt.keys_unavailable")
    );
    assert!(!layer.guard().is_ready());
}

#[tokio::test]
async fn k09_a_wall_clock_that_jumps_does_not_age_the_keys() {
    let online = Online::new().await;
    let layer = online.layer().await;
    online
        .clock
        .set_wall(bartizan_core::WallTime::from_unix_seconds(4_000_000_000));
    assert_eq!(
        outcome(&layer, &online.token().sign().unwrap()).await,
        passed()
    );
}

#[tokio::test]
async fn whoever_waits_for_a_key_waits_for_a_bounded_time() {
    let online = Online::new().await;
    let config = online.config().with_patience(Duration::from_millis(50));
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    online.issuer.set_fault(Endpoint::Jwks, Fault::Hang);
    let unknown = online.token_of_unknown_key("unknown");
    assert_eq!(
        outcome(&layer, &unknown).await,
        refused(503, "jwt.keys_unavailable")
    );
}

#[tokio::test]
async fn k05_a_set_without_a_usable_key_leaves_the_old_one_in_force_and_is_told() {
    for fault in [
        Fault::EmptyKeySet,
        Fault::Body(
            r#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#.into(),
        ),
    ] {
        let online = Online::new().await;
        let codes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&codes);
        let observer = observe_fn(move |event| {
            if let Event::Lifecycle(event) = event {
                sink.lock().unwrap().push(event.code().to_string());
            }
        });
        let config = online.config().with_observer(Arc::new(observer));
        let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
        let good = online.token().sign().unwrap();
        online.issuer.set_fault(Endpoint::Jwks, fault);
        let unknown = online.token_of_unknown_key("unknown");
        assert_eq!(
            outcome(&layer, &unknown).await,
            refused(503, "jwt.keys_unavailable")
        );
        assert_eq!(outcome(&layer, &good).await, passed());
        let status = layer.guard().key_status(online.issuer.issuer()).unwrap();
        assert_eq!((status.generation(), status.is_failing()), (1, true));
        let codes = codes.lock().unwrap();
        assert!(
            codes.iter().any(|code| code == "source.failed"),
            "{codes:?}"
        );
    }
}
