//! One layer value on every host, without sockets.

use std::convert::Infallible;

use axum::Router;
use axum::routing::post;
use bartizan_core::{Chain, Guard, GuardLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tonic::service::LayerExt as _;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Gate, grpc, http, text};

fn hello() -> Router {
    Router::new().route("/hello", post(async || "hello"))
}

async fn check_axum(host: &str, app: Router, uri: &str) {
    for (passes, status) in [(true, 200), (false, 403)] {
        let mut request = http(passes).map(axum::body::Body::new);
        *request.uri_mut() = uri.parse().unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{host}");
        let body = text(response.into_body()).await;
        assert_eq!(body == "hello", passes, "{host}: {body}");
    }
}

/// Runs the guard on every host; each must let one request pass and refuse another.
async fn check_hosts<G: Guard>(guard: G) {
    let layer = GuardLayer::new(guard);

    check_axum("Router::layer", hello().layer(layer.clone()), "/hello").await;
    check_axum("route_layer", hello().route_layer(layer.clone()), "/hello").await;
    let nested = Router::new().nest("/v1", hello().layer(layer.clone()));
    check_axum("nest", nested, "/v1/hello").await;
    let method = Router::new().route("/hello", post(async || "hello").layer(layer.clone()));
    check_axum("MethodRouter::layer", method, "/hello").await;

    let (_reporter, health) = tonic_health::server::health_reporter();
    let named = layer.clone().named_layer(health.clone());
    let outer = layer.layer(tonic::service::Routes::new(health));
    for (passes, status) in [(true, "0"), (false, "7")] {
        let response = tonic::service::Routes::new(named.clone())
            .oneshot(grpc(passes).map(tonic::body::Body::new))
            .await
            .unwrap();
        check_grpc("named_layer", response, status).await;
        let response = outer
            .clone()
            .oneshot(grpc(passes).map(tonic::body::Body::new))
            .await
            .unwrap();
        check_grpc("Routes", response, status).await;
    }

    let plain = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    }));
    for (passes, status) in [(true, 200), (false, 403)] {
        let response = plain.clone().oneshot(http(passes)).await.unwrap();
        assert_eq!(response.status(), status, "plain service");
    }
}

async fn check_grpc<B>(host: &str, response: Response<B>, expected: &str)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    use http_body_util::BodyExt as _;

    assert_eq!(response.status(), 200, "{host}");
    let (parts, body) = response.into_parts();
    let trailers_only = parts.headers.get("grpc-status").cloned();
    if trailers_only.is_some() {
        assert!(
            body.is_end_stream(),
            "{host}: a trailers-only refusal ends its stream"
        );
    }
    let collected = body.collect().await.map_err(Into::into).unwrap();
    let status = trailers_only.or_else(|| {
        collected
            .trailers()
            .and_then(|trailers| trailers.get("grpc-status").cloned())
    });
    assert_eq!(status.unwrap(), expected, "{host}");
}

#[tokio::test]
async fn a_guard_that_answers_at_once_runs_on_every_host() {
    check_hosts(Gate::new()).await;
}

#[tokio::test]
async fn a_guard_that_waits_runs_on_every_host() {
    check_hosts(Gate::new().later()).await;
}

#[tokio::test]
async fn a_chain_of_six_guards_runs_on_every_host() {
    check_hosts(
        Chain::new(Gate::named("one"), Gate::named("two").later())
            .then(Gate::named("three"))
            .then(Gate::named("four"))
            .then(Gate::named("five").later())
            .then(Gate::named("six")),
    )
    .await;
}

#[tokio::test]
async fn routes_that_axum_is_given_after_the_layer_are_not_guarded() {
    // axum's rule, not ours; it is documented on the layer, and this notices if it changes.
    let app = hello()
        .layer(GuardLayer::new(Gate::new()))
        .route("/late", post(async || "open"));
    let mut request = http(false).map(axum::body::Body::new);
    *request.uri_mut() = "/late".parse().unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_outbound_layer_does_not_touch_the_context_of_the_request() {
    use bartizan_core::SecurityContext;

    let context = SecurityContext::new("/arrived".parse().unwrap());
    let client = GuardLayer::new(Gate::new()).outbound().layer(service_fn(
        async |request: Request<Full<Bytes>>| {
            assert!(SecurityContext::of(request.extensions()).is_some());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        },
    ));
    let mut request = http(true);
    request.extensions_mut().insert(context.clone());
    assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(context.decisions(), []);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn a_layer_inside_a_nested_router_knows_the_path_as_it_was_received() {
    use bartizan_core::SecurityContext;

    let path = async |context: SecurityContext| context.path().unwrap().to_owned();
    let inner = Router::new()
        .route("/public/{x}", post(path))
        .layer(GuardLayer::new(Gate::new()));
    let app = Router::new().nest("/admin", inner);
    let mut request = http(true).map(axum::body::Body::new);
    *request.uri_mut() = "/admin/public/x".parse().unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(text(response.into_body()).await, "/admin/public/x");
}
