//! The layer with keys at hand, on every host.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Enforcement, Event, observe_fn};
use bartizan_jwt::{ConfigError, JwtConfig, JwtLayer, KeySet, Rules};
use bartizan_testkit::forge::{
    flipped_signature, tampered_claim, tampered_header, truncated_signature, without_signature,
    zero_signature,
};
use bartizan_testkit::{Call, Host, RsaKey, SigningAlgorithm, SigningKey, TokenMint};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use serde_json::json;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{AUDIENCE, ISSUER, Offline, outcome, passed, refused, send};

fn es256() -> Offline {
    Offline::new(SigningAlgorithm::Es256)
}

#[tokio::test]
async fn a_good_token_passes_on_every_host_and_names_the_principal() {
    let offline = es256();
    let layer = offline.layer();
    let call = Call::echo("hello")
        .with_bearer(&offline.token().sign().unwrap())
        .unwrap();
    for host in Host::WITHOUT_SOCKETS {
        let answer = host.send(&layer, &call).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        let context = &answer.json()["context"];
        assert_eq!(context["principal"]["issuer"], ISSUER, "{host:?}");
        assert_eq!(context["principal"]["subject"], "alice", "{host:?}");
        assert_eq!(
            context["principal"]["scopes"],
            json!(["orders:read"]),
            "{host:?}"
        );
        assert_eq!(context["principal"]["scheme"], "jwt", "{host:?}");
        assert_eq!(context["decisions"][0]["outcome"], "allowed", "{host:?}");
    }
}

#[tokio::test]
async fn every_algorithm_passes_with_a_key_that_suits_it() {
    let rsa = RsaKey::generate(2048).unwrap();
    for algorithm in [
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Es256,
        SigningAlgorithm::Es384,
        SigningAlgorithm::Ps256,
        SigningAlgorithm::Ps384,
        SigningAlgorithm::Ps512,
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Rs384,
        SigningAlgorithm::Rs512,
    ] {
        let key = SigningKey::from_rsa(&rsa, algorithm, "key-1")
            .or_else(|_| SigningKey::generate(algorithm, "key-1"))
            .unwrap();
        let mut offline = es256();
        offline.mint = TokenMint::with_key(ISSUER, key, Arc::new(offline.clock.clone()));
        let layer = offline.layer();
        let token = offline.token().sign().unwrap();
        assert_eq!(outcome(&layer, &token).await, passed(), "{algorithm:?}");
        let flipped = flipped_signature(&token).unwrap();
        let expected = refused(401, "jwt.bad_signature");
        assert_eq!(outcome(&layer, &flipped).await, expected, "{algorithm:?}");
    }
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused_with_their_reason() {
    let offline = es256();
    let layer = offline.layer();
    let token = || offline.token();
    let good = token().sign().unwrap();
    let thief = SigningKey::generate(SigningAlgorithm::Es256, "key-1").unwrap();
    let cases = [
        (token().unsigned("none"), "jwt.algorithm_not_allowed"),
        (token().unsigned("nOnE"), "jwt.algorithm_not_allowed"),
        (
            token().sign_hs256_with_public_key(),
            "jwt.algorithm_not_allowed",
        ),
        (token().sign_hs256(b""), "jwt.algorithm_not_allowed"),
        (
            token().sign_with_foreign_key(&thief).unwrap(),
            "jwt.bad_signature",
        ),
        (
            token().sign_with_embedded_key(&thief).unwrap(),
            "jwt.bad_signature",
        ),
        (
            tampered_claim(&good, "sub", "mallory").unwrap(),
            "jwt.bad_signature",
        ),
        (
            tampered_header(&good, "x", "y").unwrap(),
            "jwt.bad_signature",
        ),
        (truncated_signature(&good).unwrap(), "jwt.bad_signature"),
        (without_signature(&good).unwrap(), "jwt.bad_signature"),
        (zero_signature(&good).unwrap(), "jwt.bad_signature"),
        (
            token().audience("https://payments.example").sign().unwrap(),
            "jwt.wrong_audience",
        ),
        (
            token().issuer("https://evil.example").sign().unwrap(),
            "jwt.wrong_issuer",
        ),
        (
            token()
                .expired_since(Duration::from_secs(31))
                .sign()
                .unwrap(),
            "jwt.expired",
        ),
        (
            token().header("kid", "key-9").sign().unwrap(),
            "jwt.unknown_key",
        ),
        (
            token().header("typ", "JWT").sign().unwrap(),
            "jwt.wrong_type",
        ),
        (
            token().header("crit", json!(["exp"])).sign().unwrap(),
            "jwt.unsupported_header",
        ),
        (
            token().without_claim("exp").sign().unwrap(),
            "jwt.invalid_claim",
        ),
        (
            token().bound_to_certificate(&[1; 32]).sign().unwrap(),
            "jwt.certificate_mismatch",
        ),
        ("abc".to_owned(), "jwt.malformed"),
        ("a".repeat(9000), "jwt.too_large"),
    ];
    for (token, code) in cases {
        let answer = send(&layer, &token).await;
        assert_eq!(answer.http_status.as_u16(), 401, "{code}");
        assert_eq!(answer.code().as_deref(), Some(code));
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"Bearer realm="https://orders.example", error="invalid_token""#)
        );
    }
    assert_eq!(
        outcome(&layer, &good).await,
        passed(),
        "the control request"
    );
}

#[tokio::test]
async fn a_token_expires_while_the_clock_moves() {
    let offline = es256();
    let layer = offline.layer();
    let token = offline
        .token()
        .expires_in(Duration::from_secs(60))
        .sign()
        .unwrap();
    offline.clock.advance(Duration::from_secs(89));
    assert_eq!(outcome(&layer, &token).await, passed());
    offline.clock.advance(Duration::from_secs(1));
    assert_eq!(outcome(&layer, &token).await, refused(401, "jwt.expired"));
    offline.clock.set_wall_back(Duration::from_secs(1));
    assert_eq!(outcome(&layer, &token).await, passed());
}

/// Such as one around all of a service and one around a part of it.
#[tokio::test]
async fn a_second_layer_that_verified_the_same_token_says_the_same() {
    let offline = es256();
    let hello =
        async |_: Request<Empty<Bytes>>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()));
    let service = offline.layer().layer(service_fn(hello));
    let service = offline.layer().layer(service);
    for (token, expected) in [
        (offline.token(), 200),
        (offline.token().expired_since(Duration::from_secs(60)), 401),
    ] {
        let token = format!("Bearer {}", token.sign().unwrap());
        let request = Request::get("/").header("authorization", token);
        let request = request.body(Empty::new()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected);
    }
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    let offline = es256();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let observer = observe_fn(move |event| {
        if let Event::Decision(decision) = event {
            let code = decision.code().map(|code| code.as_str());
            sink.lock()
                .unwrap()
                .push((decision.outcome().as_str(), code));
        }
    });
    let config = offline
        .config()
        .with_enforcement(Enforcement::Shadow)
        .with_observer(Arc::new(observer));
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let expired = offline
        .token()
        .expired_since(Duration::from_secs(60))
        .sign()
        .unwrap();
    for (call, recorded) in [
        (Call::echo(""), "jwt.missing"),
        (Call::echo("").with_bearer(&expired).unwrap(), "jwt.expired"),
    ] {
        let answer = Host::Hyper.send(&layer, &call).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        let context = &answer.json()["context"];
        assert!(
            context["principal"].is_null(),
            "a refused token names nobody"
        );
        assert_eq!(context["decisions"][0]["outcome"], "would_have_denied");
        assert_eq!(context["decisions"][0]["code"], recorded);
    }
    let answer = send(&layer, &offline.token().sign().unwrap()).await;
    assert_eq!(answer.json()["context"]["principal"]["subject"], "alice");
    assert_eq!(
        *events.lock().unwrap(),
        [
            ("would_have_denied", Some("jwt.missing")),
            ("would_have_denied", Some("jwt.expired")),
            ("allowed", None),
        ]
    );
}

#[tokio::test]
async fn rejects_when_unconfigured() {
    let offline = es256();
    // No key at all is a mistake that shows at once.
    let without_keys = offline.config().with_keys(KeySet::default()).build();
    assert!(matches!(
        without_keys,
        Err(ConfigError::NoUsableKey { ignored: 0 })
    ));
    let unfit = JwtConfig::builder(
        offline
            .rules()
            .with_algorithms([bartizan_jwt::Algorithm::Rs256])
            .build()
            .unwrap(),
    );
    let keys = KeySet::from_json(&offline.mint.jwks().to_string()).unwrap();
    assert!(matches!(
        unfit.with_keys(keys).build(),
        Err(ConfigError::NoUsableKey { .. })
    ));

    // Keys that never come are no reason to let anybody pass. Nobody listens on port 1.
    let rules = Rules::builder(ISSUER, AUDIENCE).build().unwrap();
    let config = JwtConfig::builder(rules)
        .with_key_location("http://127.0.0.1:1/keys")
        .with_clock(Arc::new(offline.clock.clone()))
        .with_patience(Duration::from_millis(20));
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let call = Call::echo("")
        .with_bearer(&offline.token().sign().unwrap())
        .unwrap();
    for host in Host::WITHOUT_SOCKETS {
        let answer = host.send(&layer, &call).await.unwrap();
        assert!(!answer.is_success(), "{answer:?}");
        assert_eq!(
            answer.code().as_deref(),
            Some("jwt.keys_unavailable"),
            "{host:?}"
        );
        let answer = host.send(&layer, &Call::echo("")).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("jwt.missing"), "{host:?}");
    }
    assert!(!layer.guard().is_ready());
}

#[test]
fn starting_without_a_runtime_is_an_error_and_no_panic() {
    let rules = Rules::builder(ISSUER, AUDIENCE).build().unwrap();
    let config = JwtConfig::builder(rules).build().unwrap();
    assert!(matches!(
        JwtLayer::start(config),
        Err(ConfigError::KeysNotLoaded(_))
    ));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let config = || JwtConfig::builder(Rules::builder(ISSUER, AUDIENCE).build().unwrap());
    let refused = |config: bartizan_jwt::JwtConfigBuilder| config.build().unwrap_err().to_string();
    assert!(refused(config().with_key_location("http://keys.example/")).contains("keys.example"));
    assert!(refused(config().with_key_lifetime(Duration::ZERO)).contains("key lifetime"));
    let short = config().with_stale_limit(Duration::from_secs(599));
    assert!(refused(short).contains("stale limit"));
    assert!(refused(config().with_cool_down(Duration::ZERO)).contains("cool-down"));
    assert!(refused(config().with_patience(Duration::from_secs(31))).contains("patience"));
}
