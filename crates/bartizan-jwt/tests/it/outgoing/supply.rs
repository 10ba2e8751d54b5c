//! Tokens that are kept, renewed and given up.

use std::time::Duration;

use bartizan_core::{Rejection, RejectionKind};
use bartizan_jwt::{OutgoingConfig, TokenErrorKind};
use bartizan_testkit::{Endpoint, Fault};
use http::Response;
use serde_json::json;
use tower::ServiceExt as _;

use super::{Bench, PAYMENTS, Payments, bearer, call, call_for, carried, claims};

#[tokio::test]
async fn a_token_of_its_own_is_obtained_once_for_a_crowd() {
    let bench = Bench::new().await;
    let request = bench
        .request()
        .with_scopes(["payments:create", "payments:list"]);
    let request = request.add_resource(PAYMENTS).add_audience("payments");
    let layer = bench.layer(OutgoingConfig::client_credentials(request));
    let calls = (0..50).map(|_| {
        let layer = layer.clone();
        tokio::spawn(async move { carried(&layer, call()).await.unwrap() })
    });
    let mut tokens = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        tokens.push(call.await.unwrap());
    }
    tokens.dedup();
    assert_eq!(
        (tokens.len(), bench.asked(), layer.cached_tokens()),
        (1, 1, 1)
    );
    let claims = claims(&tokens[0]);
    assert_eq!(claims["sub"], "orders");
    assert_eq!(claims["scope"], "payments:create payments:list");
    assert_eq!(claims["aud"], json!(["payments", PAYMENTS]));
    assert_eq!(bench.sent("grant_type"), ["client_credentials"]);
    assert_eq!(bench.sent("resource"), [PAYMENTS]);
    assert!(bench.sent("client_secret").is_empty());
}

#[tokio::test]
async fn a_token_is_renewed_ahead_and_nobody_waits_for_it() {
    let bench = Bench::new().await;
    let layer = bench.own();
    let first = carried(&layer, call()).await.unwrap();
    // It lives for 300 s: it is renewed from between 216 and 264 s on.
    bench.online.clock.advance(Duration::from_secs(215));
    assert_eq!(carried(&layer, call()).await.unwrap(), first);
    assert_eq!(bench.asked(), 1);
    bench.online.clock.advance(Duration::from_secs(50));
    // The server hangs, and calls go on with the token that there is.
    bench.online.issuer.set_fault(Endpoint::Token, Fault::Hang);
    for _ in 0..20 {
        assert_eq!(carried(&layer, call()).await.unwrap(), first);
    }
    bench.online.issuer.requests_reach(Endpoint::Token, 2).await;
    assert_eq!(bench.asked(), 2, "one request for all of them");
}

#[tokio::test]
async fn the_renewed_token_takes_the_place_of_the_old() {
    let bench = Bench::new().await;
    let layer = bench.own();
    let first = carried(&layer, call()).await.unwrap();
    bench.online.clock.advance(Duration::from_secs(265));
    assert_eq!(carried(&layer, call()).await.unwrap(), first);
    bench.online.issuer.requests_reach(Endpoint::Token, 2).await;
    let mut next = first.clone();
    while next == first {
        tokio::task::yield_now().await;
        next = carried(&layer, call()).await.unwrap();
    }
    assert_eq!((bench.asked(), layer.cached_tokens()), (2, 1));
}

#[tokio::test]
async fn a_token_serves_until_shortly_before_its_end_while_the_server_is_down() {
    let bench = Bench::new().await;
    let layer = bench.own();
    let payments = Payments::default();
    let service = payments.behind(&layer);
    let first = carried(&layer, call()).await.unwrap();
    bench
        .online
        .issuer
        .set_fault(Endpoint::Token, Fault::Status(503));
    bench.online.clock.advance(Duration::from_secs(289));
    assert_eq!(carried(&layer, call()).await.unwrap(), first);
    bench.online.issuer.requests_reach(Endpoint::Token, 2).await;
    // Ten seconds before its end it could end on the way.
    bench.online.clock.advance(Duration::from_secs(1));
    let mut last = None;
    for _ in 0..20 {
        last = service.clone().oneshot(call()).await.err();
    }
    let Some(bartizan_jwt::OutgoingError::Token(error)) = last else {
        panic!()
    };
    assert_eq!(error.kind(), TokenErrorKind::Unavailable);
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(payments.calls(), 0);
    assert!(bench.asked() <= 4, "{} requests", bench.asked());
    let rejection = Rejection::from(error);
    assert_eq!(rejection.kind(), RejectionKind::Unavailable);
    assert_eq!(rejection.retry_after(), Some(Duration::from_secs(5)));
    assert_eq!(
        bench.notes().first().map(String::as_str),
        Some("outgoing.unavailable")
    );

    bench.online.issuer.clear_fault(Endpoint::Token);
    bench.online.clock.advance(Duration::from_secs(30));
    assert_ne!(carried(&layer, call()).await.unwrap(), first);
    assert_eq!(
        bench.notes().last().map(String::as_str),
        Some("outgoing.recovered")
    );
}

#[tokio::test]
async fn each_callers_token_is_exchanged_for_one_of_its_own() {
    let bench = Bench::new().await;
    let layer = bench.exchanging();
    let names: Vec<String> = (0..20).map(|number| format!("user-{number}")).collect();
    let mut callers = Vec::new();
    for name in &names {
        callers.push(bench.caller_named(name).await);
    }
    for round in 0..3 {
        let calls = callers.iter().map(|caller| {
            let (layer, call) = (layer.clone(), call_for(caller));
            tokio::spawn(async move { carried(&layer, call).await.unwrap() })
        });
        let calls: Vec<_> = calls.collect();
        for (call, name) in calls.into_iter().zip(&names) {
            let claims = claims(&call.await.unwrap());
            assert_eq!(claims["sub"], json!(name), "in round {round}");
            assert_eq!(claims["scope"], "payments:create");
            assert_eq!(claims["aud"], PAYMENTS);
            assert_eq!(claims["client_id"], "orders");
        }
    }
    assert_eq!((bench.asked(), layer.cached_tokens()), (20, 20));
}

#[tokio::test]
async fn more_callers_than_are_kept_are_served_all_the_same() {
    let bench = Bench::new().await;
    let request = bench.request().add_audience(PAYMENTS);
    let layer = bench.layer(OutgoingConfig::exchange(request).with_cached_tokens(2));
    for number in 0..6 {
        let name = format!("user-{number}");
        let caller = bench.caller_named(&name).await;
        let token = carried(&layer, call_for(&caller)).await.unwrap();
        assert_eq!(claims(&token)["sub"], json!(name));
        assert!(layer.cached_tokens() <= 2);
    }
}

#[tokio::test]
async fn a_service_acts_for_its_caller_under_its_own_name() {
    let bench = Bench::new().await;
    let request = bench.request().add_audience(PAYMENTS);
    let layer = bench.layer(OutgoingConfig::exchange_as_actor(request, bench.request()));
    for (name, asked) in [("alice", 2), ("bob", 3)] {
        let caller = bench.caller_named(name).await;
        let claims = claims(&carried(&layer, call_for(&caller)).await.unwrap());
        assert_eq!(claims["sub"], json!(name));
        assert_eq!(claims["act"], json!({ "sub": "orders" }));
        assert_eq!(bench.asked(), asked, "its own token is kept");
    }
    assert_eq!(
        bench.sent("subject_token_type"),
        bench.sent("actor_token_type")
    );
}

#[tokio::test]
async fn a_refused_exchange_is_the_callers_affair_alone_and_is_not_asked_for_again_at_once() {
    let bench = Bench::new().await;
    let layer = bench.exchanging();
    let poor = bench
        .online
        .token()
        .subject("poor")
        .scope("orders:read")
        .sign()
        .unwrap();
    let poor = bench.caller(&poor).await;
    for _ in 0..10 {
        let error = carried(&layer, call_for(&poor)).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Refused);
        assert_eq!(error.oauth_error(), Some("invalid_scope"));
        assert_eq!(Rejection::from(error).kind(), RejectionKind::Forbidden);
    }
    assert_eq!(bench.asked(), 1);
    let alice = bench.caller_named("alice").await;
    assert!(carried(&layer, call_for(&alice)).await.is_ok());
    bench.online.clock.advance(Duration::from_secs(10));
    assert!(carried(&layer, call_for(&poor)).await.is_err());
    assert_eq!(bench.asked(), 3);
    assert!(
        bench.notes().is_empty(),
        "the server is well: {:?}",
        bench.notes()
    );
}

#[tokio::test]
async fn one_caller_that_the_server_stumbles_over_does_not_keep_others_from_theirs() {
    let bench = Bench::new().await;
    let layer = bench.exchanging();
    let (alice, bob) = (
        bench.caller_named("alice").await,
        bench.caller_named("bob").await,
    );
    bench
        .online
        .issuer
        .set_fault(Endpoint::Token, Fault::Status(500));
    for _ in 0..10 {
        let error = carried(&layer, call_for(&alice)).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Unavailable);
    }
    assert_eq!(bench.asked(), 1, "nor is it asked for again at once");
    bench.online.issuer.clear_fault(Endpoint::Token);
    assert!(carried(&layer, call_for(&bob)).await.is_ok());
    bench.online.clock.advance(Duration::from_secs(1));
    assert!(carried(&layer, call_for(&alice)).await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_gone_is_gone_for_all() {
    let bench = Bench::new().await;
    let layer = bench.exchanging();
    let (alice, bob) = (
        bench.caller_named("alice").await,
        bench.caller_named("bob").await,
    );
    let refused = bartizan_jwt::TokenEndpoint::builder("https://127.0.0.1:1/", super::basic());
    let request = bartizan_jwt::TokenRequest::new(refused.build().unwrap());
    let gone = bench.layer(OutgoingConfig::exchange(request));
    let mut waits = 0;
    for caller in [&alice, &bob].into_iter().cycle().take(40) {
        let error = carried(&gone, call_for(caller)).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Unavailable);
        waits += 1;
    }
    // Each failure that was an attempt is noted; the waits are drawn from zero on.
    assert!(
        bench.notes().len() < waits / 2,
        "{} attempts",
        bench.notes().len()
    );
    assert!(carried(&layer, call_for(&alice)).await.is_ok());
}

fn invalid_token() -> Response<()> {
    Response::builder()
        .status(401)
        .header(
            "www-authenticate",
            r#"Bearer realm="payments", error="invalid_token""#,
        )
        .body(())
        .unwrap()
}

#[tokio::test]
async fn a_refused_token_is_given_up_once_and_no_call_is_sent_twice() {
    let bench = Bench::new().await;
    let layer = bench.own();
    let payments = Payments::default();
    let service = payments.behind(&layer);
    let first = bearer(service.clone().oneshot(call()).await.unwrap().body());
    *payments.refuses.lock().unwrap() = Some(invalid_token());
    for _ in 0..20 {
        let answer = service.clone().oneshot(call()).await.unwrap();
        assert_eq!(answer.status(), 401, "it is passed on as it is");
    }
    assert_eq!(payments.calls(), 21);
    assert_eq!(
        bench.asked(),
        2,
        "a service that refuses all is no reason to ask for more"
    );
    *payments.refuses.lock().unwrap() = None;
    let second = bearer(service.clone().oneshot(call()).await.unwrap().body());
    assert_ne!(first, second);

    bench.online.clock.advance(Duration::from_secs(30));
    *payments.refuses.lock().unwrap() = Some(invalid_token());
    for _ in 0..20 {
        service.clone().oneshot(call()).await.unwrap();
    }
    assert_eq!(
        bench.asked(),
        3,
        "half a minute later it may have another cause"
    );
}

#[tokio::test]
async fn only_what_says_invalid_token_gives_a_token_up() {
    let bench = Bench::new().await;
    let layer = bench.own();
    let payments = Payments::default();
    let service = payments.behind(&layer);
    for (status, challenge) in [
        (401, r#"Bearer error="insufficient_user_authentication""#),
        (403, r#"Bearer error="invalid_token""#),
        (500, r#"Bearer error="invalid_token""#),
        (401, r#"Bearer realm="error=invalid_token""#),
    ] {
        let refusal = Response::builder()
            .status(status)
            .header("www-authenticate", challenge);
        *payments.refuses.lock().unwrap() = Some(refusal.body(()).unwrap());
        service.clone().oneshot(call()).await.unwrap();
        service.clone().oneshot(call()).await.unwrap();
        assert_eq!(bench.asked(), 1, "{status} {challenge}");
    }
}

#[tokio::test]
async fn one_callers_refused_token_is_not_anothers() {
    let bench = Bench::new().await;
    let layer = bench.exchanging();
    let payments = Payments::default();
    let service = payments.behind(&layer);
    let (alice, bob) = (
        bench.caller_named("alice").await,
        bench.caller_named("bob").await,
    );
    for caller in [&alice, &bob] {
        service.clone().oneshot(call_for(caller)).await.unwrap();
    }
    *payments.refuses.lock().unwrap() = Some(invalid_token());
    service.clone().oneshot(call_for(&alice)).await.unwrap();
    *payments.refuses.lock().unwrap() = None;
    service.clone().oneshot(call_for(&bob)).await.unwrap();
    assert_eq!(bench.asked(), 2);
    service.clone().oneshot(call_for(&alice)).await.unwrap();
    assert_eq!(bench.asked(), 3);
}

#[tokio::test]
async fn requests_to_the_server_are_bounded() {
    let bench = Bench::new().await;
    let request = bartizan_jwt::TokenRequest::new(bench.hasty_endpoint()).add_audience(PAYMENTS);
    let builder = OutgoingConfig::exchange(request).with_concurrent_requests(1);
    let layer = bench.layer(builder);
    let (alice, bob) = (
        bench.caller_named("alice").await,
        bench.caller_named("bob").await,
    );
    bench.online.issuer.set_fault(Endpoint::Token, Fault::Hang);
    let waiting = {
        let (layer, call) = (layer.clone(), call_for(&alice));
        tokio::spawn(async move { carried(&layer, call).await })
    };
    bench.online.issuer.requests_reach(Endpoint::Token, 1).await;
    let error = carried(&layer, call_for(&bob)).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Overloaded);
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unavailable);
}

#[tokio::test]
async fn a_call_that_is_given_up_does_not_give_up_the_token() {
    let bench = Bench::new().await;
    let layer = bench.own();
    let given_up = {
        let layer = layer.clone();
        tokio::spawn(async move { carried(&layer, call()).await })
    };
    bench.online.issuer.requests_reach(Endpoint::Token, 1).await;
    given_up.abort();
    let _ = given_up.await;
    carried(&layer, call()).await.unwrap();
    assert_eq!(bench.asked(), 1);
}
