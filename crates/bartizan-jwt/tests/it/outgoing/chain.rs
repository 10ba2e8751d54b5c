//! Service A calls service B on behalf of its caller, over real sockets.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bartizan_core::{Protocol, Rejection};
use bartizan_jwt::{
    CallerToken, JwtConfig, JwtLayer, Outgoing, OutgoingConfig, OutgoingError, OutgoingLayer, Rules,
};
use bartizan_testkit::echo_router;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{Layer as _, ServiceExt as _};

use super::{Bench, PAYMENTS};

type Payments = Outgoing<Client<HttpConnector, Body>>;

/// Serves these routes on loopback until the test ends.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    origin
}

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

impl Bench {
    async fn guard(&self, audience: &str) -> JwtLayer {
        let rules = Rules::builder(self.online.issuer.issuer(), audience);
        let config = JwtConfig::builder(rules.build().unwrap())
            .with_roots(self.online.roots())
            .with_clock(Arc::new(self.online.clock.clone()))
            .allow_forwarding();
        JwtLayer::load(config.build().unwrap()).await.unwrap()
    }

    /// Service B.
    async fn payments(&self) -> String {
        serve(echo_router().layer(self.guard(PAYMENTS).await)).await
    }

    /// Service A, which calls B for each order.
    async fn orders(&self, payments: &str, layer: &OutgoingLayer) -> String {
        let payments = format!("{payments}/echo");
        let service: Payments = layer.layer(client());
        let order = move |request: Request| order(service, payments, request);
        let router = Router::new().route("/orders", post(order));
        serve(router.layer(self.guard(crate::support::AUDIENCE).await)).await
    }

    async fn order(&self, orders: &str, token: &str) -> (u16, Value) {
        let request = Request::post(format!("{orders}/orders"))
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        let response = client().request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

async fn order(service: Payments, payments: String, request: Request) -> Response {
    let mut call = Request::post(&payments).body(Body::from("charge")).unwrap();
    if let Some(caller) = request.extensions().get::<CallerToken>() {
        call.extensions_mut().insert(caller.clone());
    }
    match service.oneshot(call).await {
        Ok(response) => response.map(Body::new).into_response(),
        Err(OutgoingError::Token(error)) => {
            let refusal = Rejection::from(error).into_response(Protocol::Http);
            refusal.map(Body::new)
        }
        Err(OutgoingError::Inner(error)) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_chain_of_services_exchanges_the_callers_token_for_a_narrower_one() {
    let bench = Bench::new().await;
    let payments = bench.payments().await;
    let request = bench
        .request()
        .add_audience(PAYMENTS)
        .with_scopes(["payments:create"]);
    let config = OutgoingConfig::exchange(request)
        .add_destination(&payments)
        .with_clock(Arc::new(bench.online.clock.clone()));
    let layer = OutgoingLayer::new(config.build().unwrap());
    let orders = bench.orders(&payments, &layer).await;

    let token = bench.token_of("alice");
    let (status, seen) = bench.order(&orders, &token).await;
    assert_eq!(status, 200, "{seen}");
    assert_eq!(seen["body"], "charge");
    let principal = &seen["context"]["principal"];
    assert_eq!(principal["subject"], "alice");
    assert_eq!(principal["client"], "orders");
    assert_eq!(principal["scopes"], json!(["payments:create"]));

    // Without the exchange, B refuses: the caller's token is not meant for it.
    let config = OutgoingConfig::forward()
        .add_destination(&payments)
        .with_clock(Arc::new(bench.online.clock.clone()));
    let forwarding = OutgoingLayer::new(config.build().unwrap());
    let orders_forwarding = bench.orders(&payments, &forwarding).await;
    let (status, refused) = bench.order(&orders_forwarding, &token).await;
    assert_eq!(
        (status, &refused["code"]),
        (401, &json!("jwt.wrong_audience"))
    );

    // A caller that has no scope to pass on is refused by the authorization server.
    let poor = bench.online.token().scope("orders:read").sign().unwrap();
    let (status, refused) = bench.order(&orders, &poor).await;
    assert_eq!(
        (status, &refused["code"]),
        (403, &json!("outgoing.refused"))
    );
    // And nobody calls A without a token, so that nobody calls B through it.
    let (status, refused) = bench.order(&orders, "x").await;
    assert_eq!((status, &refused["code"]), (401, &json!("jwt.malformed")));
}

#[tokio::test]
async fn a_service_calls_another_in_its_own_name() {
    let bench = Bench::new().await;
    let payments = bench.payments().await;
    let request = bench
        .request()
        .add_audience(PAYMENTS)
        .with_scopes(["payments:list"]);
    let config = OutgoingConfig::client_credentials(request)
        .add_destination(&payments)
        .with_clock(Arc::new(bench.online.clock.clone()));
    let layer = OutgoingLayer::new(config.build().unwrap());
    let orders = bench.orders(&payments, &layer).await;
    for subject in ["alice", "bob"] {
        let (status, seen) = bench.order(&orders, &bench.token_of(subject)).await;
        assert_eq!(status, 200, "{seen}");
        assert_eq!(seen["context"]["principal"]["subject"], "orders");
    }
    assert_eq!(bench.asked(), 1);
}
