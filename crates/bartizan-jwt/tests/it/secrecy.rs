//! No token leaves through what is printed, observed or sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Enforcement, Event, Outcome, observe_fn};
use bartizan_jwt::JwtLayer;
use bartizan_testkit::{Call, Host, SigningAlgorithm};

use crate::support::Offline;

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
