//! Passing the caller's token on.

use bartizan_core::{Rejection, RejectionKind, SecurityContext};
use bartizan_jwt::{OutgoingConfig, TokenErrorKind};
use http::{Request, Uri};
use std::time::Duration;
use tower::ServiceExt as _;

use super::{Bench, PAYMENTS, Payments, call, call_for, carried};
use crate::binding::connection;

#[tokio::test]
async fn the_callers_token_goes_on_as_it_is() {
    let bench = Bench::new().await;
    let layer = bench.layer(OutgoingConfig::forward());
    let token = bench.token_of("alice");
    let caller = bench.caller(&token).await;
    assert_eq!(caller.principal().subject(), "alice");
    assert_eq!(carried(&layer, call_for(&caller)).await.unwrap(), token);
    assert_eq!(bench.asked(), 0);
}

#[tokio::test]
async fn a_call_without_a_verified_caller_is_not_made() {
    let bench = Bench::new().await;
    for layer in [bench.layer(OutgoingConfig::forward()), bench.exchanging()] {
        let payments = Payments::default();
        // What somebody wrote into the call by hand is no verified token.
        let mut forged = call();
        let value = format!("Bearer {}", bench.token_of("alice"));
        forged
            .headers_mut()
            .insert("authorization", value.parse().unwrap());
        for call in [call(), forged] {
            let refused = payments.behind(&layer).oneshot(call).await.unwrap_err();
            let bartizan_jwt::OutgoingError::Token(error) = refused;
            assert_eq!(error.kind(), TokenErrorKind::NoCaller);
            assert_eq!(error.code().as_str(), "outgoing.no_caller");
            let rejection = Rejection::from(error);
            assert_eq!(rejection.kind(), RejectionKind::Internal);
        }
        assert_eq!(payments.calls(), 0);
    }
    assert_eq!(bench.asked(), 0);
}

#[tokio::test]
async fn no_token_goes_to_a_host_that_is_not_on_the_list() {
    let bench = Bench::new().await;
    let caller = bench.caller_named("alice").await;
    for layer in [
        bench.layer(OutgoingConfig::forward()),
        bench.exchanging(),
        bench.own(),
    ] {
        for uri in [
            "https://evil.example/charges",
            "https://payments.example.evil.example/",
            "https://payments.example:8443/",
            "http://payments.example/",
            "/charges",
        ] {
            let mut call = call_for(&caller);
            *call.uri_mut() = uri.parse().unwrap();
            let error = carried(&layer, call).await.unwrap_err();
            assert_eq!(error.kind(), TokenErrorKind::DestinationNotAllowed, "{uri}");
        }
    }
    assert_eq!(bench.asked(), 0, "nor is one obtained for it");
}

#[tokio::test]
async fn a_bound_token_is_not_passed_on() {
    let bench = Bench::new().await;
    let bound = bench
        .online
        .token()
        .bound_to_certificate(&[7; 32])
        .sign()
        .unwrap();
    let caller = bench.caller_on(&bound, Some(connection([7; 32]))).await;
    let layer = bench.layer(OutgoingConfig::forward());
    let payments = Payments::default();
    let error = carried(&layer, call_for(&caller)).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::BoundToken);
    assert_eq!(error.code().as_str(), "outgoing.bound_token");
    assert_eq!(Rejection::from(error).kind(), RejectionKind::Forbidden);
    assert_eq!(payments.calls(), 0);
}

#[tokio::test]
async fn a_token_that_ended_meanwhile_is_not_passed_on() {
    let bench = Bench::new().await;
    let caller = bench.caller_named("alice").await;
    let layers = [bench.layer(OutgoingConfig::forward()), bench.exchanging()];
    // It lives for 300 s, and the leeway is 30 s.
    bench.online.clock.advance(Duration::from_secs(329));
    assert!(carried(&layers[0], call_for(&caller)).await.is_ok());
    bench.online.clock.advance(Duration::from_secs(1));
    for layer in layers {
        let error = carried(&layer, call_for(&caller)).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::CallerExpired);
        let rejection = Rejection::from(error);
        assert_eq!(rejection.kind(), RejectionKind::Unauthenticated);
    }
}

#[tokio::test]
async fn what_a_call_carried_before_is_replaced() {
    let bench = Bench::new().await;
    let token = bench.token_of("alice");
    let caller = bench.caller(&token).await;
    let mut call = call_for(&caller);
    for name in ["authorization", "dpop"] {
        call.headers_mut().append(name, "Bearer x".parse().unwrap());
        call.headers_mut().append(name, "Bearer y".parse().unwrap());
    }
    let layer = bench.layer(OutgoingConfig::forward());
    let answered = Payments::default()
        .behind(&layer)
        .oneshot(call)
        .await
        .unwrap();
    let seen = answered.into_body();
    assert_eq!(super::bearer(&seen), token);
    assert!(!seen.headers().contains_key("dpop"));
    assert!(
        seen.extensions()
            .get::<bartizan_jwt::CallerToken>()
            .is_none()
    );
}

#[tokio::test]
async fn client_side_layers_never_write_the_context() {
    let bench = Bench::new().await;
    let caller = bench.caller_named("alice").await;
    for layer in [
        bench.layer(OutgoingConfig::forward()),
        bench.exchanging(),
        bench.own(),
    ] {
        let context = SecurityContext::new(Uri::from_static("/orders"));
        let mut call = call_for(&caller);
        call.extensions_mut().insert(context.clone());
        carried(&layer, call).await.unwrap();
        assert!(context.principal().is_none());
        assert!(context.decisions().is_empty());
    }
}

#[tokio::test]
async fn a_channel_that_leads_to_one_place_is_vouched_for() {
    let bench = Bench::new().await;
    let token = bench.token_of("alice");
    let caller = bench.caller(&token).await;
    let builder = OutgoingConfig::forward().with_channel_destination(PAYMENTS);
    let layer = bench.layer(builder);
    let mut bare = Request::post("/charges").body(String::new()).unwrap();
    bare.extensions_mut().insert(caller);
    assert_eq!(carried(&layer, bare).await.unwrap(), token);
}
