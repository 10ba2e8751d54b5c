//! An authorization server that does not do as it should.

use std::time::Duration;

use bartizan_core::{Rejection, RejectionKind};
use bartizan_jwt::{
    ClientAuthentication, OutgoingConfig, OutgoingError, TokenErrorKind, TokenRequest,
};
use bartizan_testkit::{Endpoint, Fault};
use bytes::Bytes;
use tower::ServiceExt as _;

use super::{Bench, Payments, call, carried};

#[tokio::test]
async fn whatever_the_server_answers_is_a_typed_error_and_no_call() {
    use TokenErrorKind::{InvalidResponse, Unavailable};
    let body = |text: &'static str| Fault::Body(Bytes::from_static(text.as_bytes()));
    for (fault, expected) in [
        (Fault::Status(500), Unavailable),
        (Fault::Status(429), Unavailable),
        (Fault::Status(204), Unavailable),
        (Fault::Disconnect, Unavailable),
        (Fault::Hang, Unavailable),
        (Fault::Drip(Duration::from_millis(100)), Unavailable),
        (
            Fault::Redirect("https://127.0.0.1:1/".to_owned()),
            Unavailable,
        ),
        (Fault::Huge(1 << 20), Unavailable),
        (Fault::Status(403), InvalidResponse),
        (Fault::Status(400), InvalidResponse),
        (Fault::Html, InvalidResponse),
        (body(""), InvalidResponse),
        (body("{}"), InvalidResponse),
        (body("[1]"), InvalidResponse),
        (
            body(r#"{"access_token":"a b","token_type":"Bearer"}"#),
            InvalidResponse,
        ),
        (
            body(r#"{"access_token":"a","token_type":"mac"}"#),
            InvalidResponse,
        ),
        (
            body(r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#),
            InvalidResponse,
        ),
    ] {
        let bench = Bench::new().await;
        let request = TokenRequest::new(bench.hasty_endpoint());
        let layer = bench.layer(OutgoingConfig::client_credentials(request));
        let payments = Payments::default();
        bench
            .online
            .issuer
            .set_fault(Endpoint::Token, fault.clone());
        let error = payments.behind(&layer).oneshot(call()).await.unwrap_err();
        let OutgoingError::Token(error) = error;
        assert_eq!(error.kind(), expected, "{fault:?}: {error}");
        assert_eq!(Rejection::from(error).kind(), RejectionKind::Unavailable);
        assert_eq!(payments.calls(), 0);
        // And it recovers by itself.
        bench.online.issuer.clear_fault(Endpoint::Token);
        bench.online.clock.advance(Duration::from_secs(30));
        assert!(carried(&layer, call()).await.is_ok(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_the_services_own_fault_and_is_not_tried_again_and_again() {
    let bench = Bench::new().await;
    let wrong = bench.endpoint(ClientAuthentication::basic("orders", "wrong"));
    let layer = bench.layer(OutgoingConfig::client_credentials(TokenRequest::new(wrong)));
    let error = carried(&layer, call()).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Refused);
    assert_eq!(error.oauth_error(), Some("invalid_client"));
    assert_eq!(error.code().as_str(), "outgoing.refused");
    assert_eq!(Rejection::from(error).kind(), RejectionKind::Internal);
    for _ in 0..100 {
        carried(&layer, call()).await.unwrap_err();
    }
    // The waits are drawn from zero on.
    assert!(bench.asked() < 30, "{} requests", bench.asked());
    assert_eq!(bench.notes()[0], "outgoing.refused");
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_told_the_secret() {
    let bench = Bench::new().await;
    let url = bench.online.issuer.token_endpoint();
    let endpoint = bartizan_jwt::TokenEndpoint::builder(&url, super::basic())
        .build()
        .unwrap();
    let layer = bench.layer(OutgoingConfig::client_credentials(TokenRequest::new(
        endpoint,
    )));
    let error = carried(&layer, call()).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unavailable);
    assert_eq!(bench.asked(), 0);
}

#[test]
fn a_call_outside_a_runtime_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (bench, layer) = runtime.block_on(async {
        let bench = Bench::new().await;
        let layer = bench.own();
        (bench, layer)
    });
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    let mut future = Box::pin(carried(&layer, call()));
    let std::task::Poll::Ready(result) = future.as_mut().poll(&mut context) else {
        panic!()
    };
    assert_eq!(result.unwrap_err().kind(), TokenErrorKind::Unavailable);
    drop(bench);
}
