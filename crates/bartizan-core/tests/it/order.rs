//! What `docs/ORDERING.md` says of order holds.

use axum::Router;
use axum::routing::{get, post};
use bartizan_core::{GuardLayer, SecurityContext};
use http::{Method, Request};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::cors::{Any, CorsLayer};

use crate::support::{Gate, http};

fn two() -> (GuardLayer<Gate>, GuardLayer<Gate>) {
    (
        GuardLayer::new(Gate::named("first")),
        GuardLayer::new(Gate::named("second")),
    )
}

async fn order(app: Router) -> Vec<&'static str> {
    let context = SecurityContext::new("/hello".parse().unwrap());
    let mut request = http(true).map(axum::body::Body::new);
    request.extensions_mut().insert(context.clone());
    assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
    context
        .decisions()
        .iter()
        .map(|decision| decision.layer())
        .collect()
}

#[tokio::test]
async fn the_first_layer_of_a_service_builder_is_the_outermost() {
    let (first, second) = two();
    let app = Router::new()
        .route("/hello", post(async || "hello"))
        .layer(ServiceBuilder::new().layer(first).layer(second));
    assert_eq!(order(app).await, ["first", "second"]);
}

#[tokio::test]
async fn the_last_layer_of_an_axum_router_is_the_outermost() {
    let (first, second) = two();
    let app = Router::new()
        .route("/hello", post(async || "hello"))
        .layer(second)
        .layer(first);
    assert_eq!(order(app).await, ["first", "second"]);
}

#[tokio::test]
async fn a_cors_layer_outside_answers_preflights_and_opens_nothing_else() {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET]);
    let app = Router::new()
        .route(
            "/hello",
            get(async || "hello").options(async || "options of the handler"),
        )
        .layer(
            ServiceBuilder::new()
                .layer(cors)
                .layer(GuardLayer::new(Gate::new())),
        );
    let request = |method: Method, preflight: bool| {
        let builder = Request::builder()
            .method(method)
            .uri("/hello")
            .header("origin", "https://a");
        let builder = if preflight {
            builder.header("access-control-request-method", "GET")
        } else {
            builder
        };
        builder.body(axum::body::Body::empty()).unwrap()
    };
    let preflight = app
        .clone()
        .oneshot(request(Method::OPTIONS, true))
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200);
    assert!(
        preflight
            .headers()
            .contains_key("access-control-allow-origin")
    );
    let refused = app.oneshot(request(Method::GET, false)).await.unwrap();
    assert_eq!(refused.status(), 403);
    // A browser may read the refusal: the CORS layer stands outside of it.
    assert!(
        refused
            .headers()
            .contains_key("access-control-allow-origin")
    );
}
