//! Refusals as real clients read them.

use std::time::Duration;

use bartizan_core::{Challenge, Code, GuardLayer, Protocol, Rejection, RejectionKind};
use tonic::service::Routes;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Gate, grpc};

const CODE: Code = Code::new("test.limited");

#[tokio::test]
async fn renders_grpc_rejection() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let service = GuardLayer::new(Gate::new()).layer(Routes::new(health));
    let response = service
        .oneshot(grpc(false).map(tonic::body::Body::new))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
    assert_eq!(status.message(), "the caller may not do this");
}

#[test]
fn a_tonic_client_decodes_the_details() {
    use tonic_types::StatusExt as _;

    let response = Rejection::new(RejectionKind::RateLimited, CODE)
        .with_detail("100% used")
        .with_retry_after(Duration::from_millis(1500))
        .with_challenge(Challenge::new("Bearer").with_param("realm", "orders"))
        .into_response(Protocol::Grpc);
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert_eq!(status.message(), "100% used");
    assert_eq!(status.metadata().get("retry-after").unwrap(), "2");
    assert_eq!(
        status.metadata().get("www-authenticate").unwrap(),
        r#"Bearer realm="orders""#
    );

    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.reason, "TEST_LIMITED");
    assert_eq!(info.domain, "bartizan");
    assert_eq!(info.metadata["code"], "test.limited");
    let retry = details.retry_info().unwrap();
    assert_eq!(retry.retry_delay, Some(Duration::from_millis(1500)));
}

#[cfg(feature = "tonic")]
#[test]
fn a_refusal_becomes_a_tonic_status() {
    let rejection = Rejection::new(RejectionKind::Unauthenticated, CODE)
        .with_challenge(Challenge::new("Bearer").with_param("realm", "orders"));
    let status = tonic::Status::from(rejection);
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert!(status.metadata().contains_key("www-authenticate"));
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn extractors_refuse_what_is_not_there() {
    use axum::{Router, routing::post};
    use bartizan_core::{Principal, Scheme, SecurityContext};

    use crate::support::{http, text};

    let app = Router::new()
        .route(
            "/hello",
            post(async |who: Principal| who.subject().to_owned()),
        )
        .layer(GuardLayer::new(Gate::new()));
    let request = http(true).map(axum::body::Body::new);
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(
        text(response.into_body())
            .await
            .contains("context.no_principal")
    );

    let context = SecurityContext::new("/hello".parse().unwrap());
    let alice = Principal::builder(Scheme::Jwt, "issuer", "alice").assert_verified();
    context.set_principal(alice).unwrap();
    let mut request = http(true).map(axum::body::Body::new);
    request.extensions_mut().insert(context);
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(text(response.into_body()).await, "alice");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn an_optional_caller_is_both_or_nothing() {
    use axum::{Router, routing::post};
    use bartizan_core::{
        Caller, Peer, PeerIdentity, Principal, Scheme, SecurityContext, VerifiedCertificate,
        WallTime,
    };

    use crate::support::{http, text};

    let app = Router::new()
        .route(
            "/hello",
            post(async |caller: Option<Caller>| match caller {
                Some(caller) => format!("{} for {}", caller.peer, caller.principal.subject()),
                None => "nobody".to_owned(),
            }),
        )
        .layer(GuardLayer::new(Gate::new()));
    let ask = async |context: &SecurityContext| {
        let mut request = http(true).map(axum::body::Body::new);
        request.extensions_mut().insert(context.clone());
        text(app.clone().oneshot(request).await.unwrap().into_body()).await
    };

    let context = SecurityContext::new("/hello".parse().unwrap());
    let alice = Principal::builder(Scheme::Jwt, "issuer", "alice").assert_verified();
    context.set_principal(alice).unwrap();
    assert_eq!(ask(&context).await, "nobody");
    let peer = Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe("spiffe://example.org/web".parse().unwrap()),
        certificate_sha256: [0; 32],
        serial: [1].into(),
        not_after: WallTime::MAX,
    });
    context.set_peer(peer).unwrap();
    assert_eq!(ask(&context).await, "spiffe://example.org/web for alice");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn an_extractor_without_any_layer_is_a_fault_of_ours() {
    use axum::{Router, routing::post};
    use bartizan_core::Peer;

    use crate::support::{http, text};

    let app = Router::new().route(
        "/hello",
        post(async |peer: Option<Peer>| format!("{peer:?}")),
    );
    let response = app
        .oneshot(http(true).map(axum::body::Body::new))
        .await
        .unwrap();
    assert_eq!(response.status(), 500);
    assert!(text(response.into_body()).await.contains("context.missing"));
}

#[tokio::test]
async fn a_refused_head_request_has_no_body() {
    use http_body::Body as _;
    use tower::service_fn;

    use crate::support::request;

    let service = GuardLayer::new(Gate::new()).layer(service_fn(async |_: http::Request<()>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty()))
    }));
    let head = request(false).method("HEAD").body(()).unwrap();
    let response = service.oneshot(head).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_ne!(response.headers()["content-length"], "0");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn a_content_type_alone_does_not_dress_a_refusal_as_success() {
    use tower::service_fn;

    let service = GuardLayer::new(Gate::new()).layer(service_fn(
        async |_: http::Request<http_body_util::Full<bytes::Bytes>>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty()))
        },
    ));
    for method in ["GET", "CONNECT", "OPTIONS"] {
        let mut request = grpc(false);
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(
            service.clone().oneshot(request).await.unwrap().status(),
            403,
            "{method}"
        );
    }
}
