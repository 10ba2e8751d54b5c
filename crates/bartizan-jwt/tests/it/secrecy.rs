//! No token leaves through what is printed, observed or sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Enforcement, Event, Outcome, observe_fn};
use bartizan_jwt::{Algorithm, Dpop, JwtConfig, JwtConfigBuilder, JwtLayer, KeySet, SharedSecret};
use bartizan_testkit::{Call, Host, SigningAlgorithm, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, Method};

use crate::support::{AUDIENCE, Offline};

#[tokio::test]
async fn nothing_that_is_printed_observed_or_sent_holds_the_token() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let captured = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&captured);
    let observer = Arc::new(observe_fn(move |event: &Event<'_>| {
        *sink.lock().unwrap() += &format!("{event:?}\n");
    }));
    let config = offline.config().with_observer(observer);
    let tokens = [
        offline.token().sign().unwrap(),
        offline
            .token()
            .expired_since(Duration::from_secs(60))
            .sign()
            .unwrap(),
        offline
            .token()
            .audience("https://other.example")
            .sign()
            .unwrap(),
        offline
            .token()
            .header("kid", "unknown-key-identifier")
            .sign()
            .unwrap(),
        offline.token().unsigned("none"),
        offline.token().sign_hs256_with_public_key(),
        format!("{}x", offline.token().sign().unwrap()),
    ];
    for enforcement in [Enforcement::Enforce, Enforcement::Shadow] {
        let config = config
            .clone()
            .with_enforcement(enforcement)
            .build()
            .unwrap();
        let mut output = format!("{config:?}");
        let layer = JwtLayer::start(config).unwrap();
        output += &format!("{layer:?} {:?}", layer.guard());
        for token in &tokens {
            let call = Call::echo("").with_bearer(token).unwrap();
            for host in Host::WITHOUT_SOCKETS {
                let answer = host.send(&layer, &call).await.unwrap();
                output += &format!("{answer:?}");
                assert!(!answer.body.is_empty() || answer.grpc_status.is_some());
            }
        }
        captured.lock().unwrap().push_str(&output);
    }
    let captured = captured.lock().unwrap();
    for outcome in [Outcome::Allowed, Outcome::Denied, Outcome::WouldHaveDenied] {
        assert!(
            captured.contains(&format!("{outcome:?}")),
            "{outcome:?} was observed"
        );
    }
    for token in &tokens {
        for part in token.split('.').filter(|part| !part.is_empty()) {
            assert!(!captured.contains(part), "{part}");
        }
    }
    assert!(!captured.contains("unknown-key-identifier"));
}

/// What is sent, and what must be nowhere in what comes out.
struct Secret<'s> {
    config: JwtConfigBuilder,
    scheme: &'s str,
    token: String,
    proof: Option<String>,
    hidden: Vec<String>,
}

/// Everything that is printed of a configuration and a layer, observed, and answered to a request
/// that passes and to some that do not.
async fn output_of(secret: &Secret<'_>) -> String {
    let captured = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&captured);
    let observer = Arc::new(observe_fn(move |event: &Event<'_>| {
        *sink.lock().unwrap() += &format!("{event:?}\n");
    }));
    let config = secret.config.clone().with_observer(observer);
    let mut output = format!("{config:?}");
    let config = config.build().unwrap();
    output += &format!("{config:?}");
    let layer = JwtLayer::start(config).unwrap();
    for token in [secret.token.clone(), format!("{}x", secret.token)] {
        for proof in [secret.proof.clone(), Some("a.b.c".to_owned()), None] {
            let field = HeaderValue::try_from(format!("{} {token}", secret.scheme)).unwrap();
            let mut call = Call::echo("").with_http_method(Method::GET);
            call = call.add_header(http::header::AUTHORIZATION, field);
            if let Some(proof) = proof {
                let proof = HeaderValue::try_from(proof).unwrap();
                call = call.add_header(HeaderName::from_static("dpop"), proof);
            }
            for _ in 0..2 {
                let answer = Host::Hyper.send(&layer, &call).await.unwrap();
                output += &format!("{answer:?}");
            }
        }
    }
    output += &format!("{layer:?} {:?}", layer.guard());
    output += &captured.lock().unwrap();
    output
}

#[tokio::test]
async fn no_secret_proof_or_nonce_key_leaves_either() {
    let offline = Offline::new(SigningAlgorithm::Es256);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();

    let bytes = b"correct-horse-battery-staple-123";
    let key = SharedSecret::new(Algorithm::Hs256, bytes).unwrap();
    let rules = offline.rules().with_algorithms([Algorithm::Hs256]);
    let config = JwtConfig::builder(rules.build().unwrap())
        .with_keys(KeySet::from_secrets([key.with_key_id("key-1")]))
        .with_clock(Arc::new(offline.clock.clone()));
    let token = offline.token().sign_hs256(bytes);
    let shared = Secret {
        config,
        scheme: "Bearer",
        hidden: [
            parts(&token),
            vec!["battery".to_owned(), encode(bytes), format!("{bytes:?}")],
        ]
        .concat(),
        token,
        proof: None,
    };

    let client = SigningKey::generate(SigningAlgorithm::Es256, "client").unwrap();
    let token = offline.token().bound_to_key(&client).sign().unwrap();
    let nonce_key = [0xa7; 32];
    let dpop = Dpop::builder(AUDIENCE).require_nonce_with_key(nonce_key);
    let proof = offline.token().key(&client).sign().unwrap();
    let proven = Secret {
        config: offline.config().with_dpop(dpop.build().unwrap()),
        scheme: "DPoP",
        hidden: [
            parts(&token),
            parts(&proof),
            vec![encode(&nonce_key), format!("{nonce_key:?}")],
        ]
        .concat(),
        token,
        proof: Some(proof),
    };

    let certificate = [0x5c; 32];
    let token = offline.token().bound_to_certificate(&certificate);
    let token = token.sign().unwrap();
    let bound = Secret {
        config: offline.config(),
        scheme: "Bearer",
        hidden: [parts(&token), vec![encode(&certificate)]].concat(),
        token,
        proof: None,
    };

    for secret in [shared, proven, bound] {
        let output = output_of(&secret).await;
        assert!(output.contains("jwt."), "something was refused");
        for hidden in secret.hidden.iter().filter(|hidden| !hidden.is_empty()) {
            assert!(!output.contains(hidden.as_str()), "{hidden}");
        }
    }
}
