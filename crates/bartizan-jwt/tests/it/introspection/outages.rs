//! Issuers that do not answer as they should, and clients that make up tokens.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Event, observe_fn};
use bartizan_jwt::{ClientAuthentication, Introspection, JwtLayer};
use bartizan_testkit::{Call, Endpoint, Fault, Host};
use bytes::Bytes;

use super::Desk;
use crate::support::{outcome, passed, refused, send};

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_no_fault_of_the_token() {
    let body = |text: &'static str| Fault::Body(Bytes::from_static(text.as_bytes()));
    for fault in [
        Fault::Status(500),
        Fault::Status(404),
        Fault::Status(401),
        Fault::Status(400),
        Fault::Status(204),
        Fault::Disconnect,
        Fault::Hang,
        Fault::Drip(Duration::from_millis(100)),
        Fault::Redirect("https://127.0.0.1:1/".to_owned()),
        Fault::Huge(1 << 20),
        Fault::Html,
        body(""),
        body("{}"),
        body("true"),
        body(r#"{"active":"true"}"#),
        body(r#"{"active":true,"active":false}"#),
    ] {
        let desk = Desk::new().await;
        let (layer, token) = (desk.layer().await, desk.opaque());
        desk.online
            .issuer
            .set_fault(Endpoint::Introspection, fault.clone());
        let answer = send(&layer, &token).await;
        assert_eq!(answer.http_status.as_u16(), 503, "{fault:?}");
        assert_eq!(
            answer.code().as_deref(),
            Some("jwt.introspection_unavailable")
        );
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.header("www-authenticate"), None);
        // Nothing of it is remembered.
        desk.online.issuer.clear_fault(Endpoint::Introspection);
        assert_eq!(outcome(&layer, &token).await, passed(), "{fault:?}");
    }
}

#[tokio::test]
async fn renders_grpc_rejection() {
    let desk = Desk::new().await;
    let (layer, token) = (desk.layer().await, desk.opaque());
    desk.online
        .issuer
        .set_fault(Endpoint::Introspection, Fault::Status(500));
    let call = Call::echo("").with_bearer(&token).unwrap();
    let answer = Host::TonicRoutes.send(&layer, &call).await.unwrap();
    assert_eq!(answer.grpc_status, Some(14));
}

#[tokio::test]
async fn a_service_that_its_issuer_does_not_know_cannot_check() {
    let desk = Desk::new().await;
    let url = desk.online.issuer.introspection_endpoint();
    let wrong = ClientAuthentication::basic("orders", "wrong");
    let introspection = Introspection::builder(desk.rules(), &url, wrong);
    let layer = desk.asking(introspection.with_roots(desk.online.roots()));
    let expected = refused(503, "jwt.introspection_unavailable");
    assert_eq!(outcome(&layer, &desk.opaque()).await, expected);
}

#[tokio::test]
async fn known_tokens_and_signed_ones_pass_while_the_issuer_is_down() {
    let desk = Desk::new().await;
    let (layer, token) = (desk.layer().await, desk.opaque());
    assert_eq!(outcome(&layer, &token).await, passed());
    desk.online
        .issuer
        .set_fault(Endpoint::Introspection, Fault::Hang);
    desk.pass(59);
    assert_eq!(outcome(&layer, &token).await, passed());
    assert_eq!(
        outcome(&layer, &desk.token().sign().unwrap()).await,
        passed()
    );
    desk.pass(1);
    let expected = refused(503, "jwt.introspection_unavailable");
    assert_eq!(outcome(&layer, &token).await, expected);
}

#[tokio::test]
async fn a_request_waits_no_longer_than_its_patience() {
    let desk = Desk::new().await;
    let config = desk.config().with_patience(Duration::from_millis(20));
    let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
    let token = desk.opaque();
    desk.online.issuer.set_fault(
        Endpoint::Introspection,
        Fault::Drip(Duration::from_millis(1)),
    );
    let expected = refused(503, "jwt.introspection_unavailable");
    assert_eq!(outcome(&layer, &token).await, expected);
    // The question went on; the next request finds its answer, or waits for it again.
    desk.online.issuer.clear_fault(Endpoint::Introspection);
    while outcome(&layer, &token).await == expected {}
    assert_eq!(outcome(&layer, &token).await, passed());
}

#[tokio::test]
async fn made_up_tokens_cost_a_bounded_number_of_questions_at_a_time() {
    let desk = Desk::new().await;
    let introspection = desk.introspection().with_concurrent_requests(4);
    let layer = desk.asking(introspection);
    let good = desk.opaque();
    assert_eq!(outcome(&layer, &good).await, passed());
    desk.online
        .issuer
        .set_fault(Endpoint::Introspection, Fault::Hang);
    let flood: Vec<_> = (0..200)
        .map(|number| {
            let (layer, token) = (layer.clone(), format!("made-up-{number}"));
            tokio::spawn(async move { outcome(&layer, &token).await })
        })
        .collect();
    let mut shed = 0;
    for request in flood {
        let (status, code) = request.await.unwrap();
        assert_eq!(status, 503);
        shed += usize::from(code.as_deref() == Some("jwt.introspection_overloaded"));
    }
    assert_eq!(shed, 196);
    assert_eq!(desk.asked(), 5);
    assert_eq!(outcome(&layer, &good).await, passed());
    // A good one is asked about again, though the places for others are taken.
    desk.online.issuer.clear_fault(Endpoint::Introspection);
    desk.pass(53);
    assert_eq!(outcome(&layer, &good).await, passed());
    desk.online
        .issuer
        .requests_reach(Endpoint::Introspection, 6)
        .await;
}

#[tokio::test]
async fn made_up_tokens_do_not_push_out_good_ones() {
    let desk = Desk::new().await;
    let introspection = desk.introspection().with_cached_tokens(16);
    let layer = desk.asking(introspection);
    let good: Vec<String> = (0..8).map(|_| desk.opaque()).collect();
    for token in &good {
        assert_eq!(outcome(&layer, token).await, passed());
    }
    for number in 0..200 {
        let made_up = format!("made-up-{number}");
        assert_eq!(
            outcome(&layer, &made_up).await,
            refused(401, "jwt.inactive")
        );
    }
    let before = desk.asked();
    for token in &good {
        assert_eq!(outcome(&layer, token).await, passed());
    }
    assert_eq!(desk.asked(), before);
    assert_eq!(layer.guard().introspected_tokens(), 8);
}

#[tokio::test]
async fn nothing_that_is_printed_observed_or_sent_holds_the_token_or_the_secret() {
    let desk = Desk::new().await;
    let output = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&output);
    let observer = observe_fn(move |event: &Event<'_>| {
        *sink.lock().unwrap() += &format!("{event:?}\n");
    });
    let introspection = desk.introspection();
    let mut printed = format!("{introspection:?}");
    let config = desk
        .config()
        .with_observer(Arc::new(observer))
        .build()
        .unwrap();
    printed += &format!("{config:?}");
    let layer = JwtLayer::load(config).await.unwrap();
    let (good, silent) = (desk.opaque(), desk.opaque());
    for token in [&good, "made-up-token"] {
        printed += &format!("{:?}", send(&layer, token).await);
    }
    desk.online
        .issuer
        .set_fault(Endpoint::Introspection, Fault::Html);
    printed += &format!("{:?} {layer:?}", send(&layer, &silent).await);
    printed += &output.lock().unwrap();
    for code in ["jwt.inactive", "jwt.introspection_unavailable", "Allowed"] {
        assert!(printed.contains(code), "{code} was observed");
    }
    for secret in [&good, &silent, "made-up-token", super::SECRET] {
        assert!(!printed.contains(secret), "{secret}");
    }
}
