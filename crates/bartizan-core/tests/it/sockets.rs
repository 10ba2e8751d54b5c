//! The guard between real servers and real clients on loopback.

use std::convert::Infallible;

use bartizan_core::{Chain, GuardLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Gate, request, text};

fn six() -> impl bartizan_core::Guard {
    Chain::new(Gate::named("one"), Gate::named("two").later())
        .then(Gate::named("three"))
        .then(Gate::named("four"))
        .then(Gate::named("five").later())
        .then(Gate::named("six"))
}

#[tokio::test]
async fn a_plain_hyper_server_and_client_speak_through_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = GuardLayer::new(six()).layer(service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    }));
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });

    // The same kind of layer stands in front of the client; it lets everything marked pass.
    for http2_only in [false, true] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(http2_only)
            .build_http();
        let client = GuardLayer::new(Gate::new()).outbound().layer(client);
        let send = |passes: bool| {
            let request = request(passes)
                .uri(format!("http://{address}/hello"))
                .body(Full::<Bytes>::from("echo"))
                .unwrap();
            client.clone().oneshot(request)
        };
        let response = send(true).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers().get_all("x-passed").iter().count(), 7);
        assert_eq!(text(response.into_body()).await, "echo");
        assert_eq!(send(false).await.unwrap().status(), 403);
    }
    server.abort();
}

#[tokio::test]
async fn a_tonic_server_and_channel_speak_through_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = tokio::spawn(
        tonic::transport::Server::builder()
            .layer(GuardLayer::new(six()))
            .add_service(health)
            .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)),
    );
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();

    let mut plain = HealthClient::new(channel.clone());
    let refused = plain
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);

    // Behind the same kind of layer on the client's side, and marked to pass.
    let mut guarded = HealthClient::with_interceptor(
        GuardLayer::new(Gate::new()).outbound().layer(channel),
        |mut request: tonic::Request<()>| {
            request
                .metadata_mut()
                .insert("x-pass", "yes".parse().unwrap());
            Ok(request)
        },
    );
    let answer = guarded.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.metadata().get_all("x-passed").iter().count(), 7);
    server.abort();
}

#[tokio::test]
async fn axum_serves_http_and_grpc_on_one_port_behind_one_layer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let app = tonic::service::Routes::new(health)
        .into_axum_router()
        .route("/hello", axum::routing::post(async || "hello"))
        .layer(GuardLayer::new(six()));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let channel = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let refused = health
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    for (passes, status) in [(true, 200), (false, 403)] {
        let request = request(passes)
            .uri(format!("http://{address}/hello"))
            .body(Full::default())
            .unwrap();
        assert_eq!(client.request(request).await.unwrap().status(), status);
    }
    server.abort();
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_tells_the_context_the_address_of_the_connection() {
    use bartizan_core::{AxumListener, Connection, SecurityContext};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new()
        .route(
            "/hello",
            axum::routing::post(async |context: SecurityContext| {
                context
                    .address()
                    .map(|address| address.to_string())
                    .unwrap_or_default()
            }),
        )
        .layer(GuardLayer::new(Gate::new()))
        .into_make_service_with_connect_info::<Connection>();
    let server = tokio::spawn(async move { axum::serve(AxumListener::new(listener), app).await });
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = request(true)
        .uri(format!("http://{address}/hello"))
        .body(Full::default())
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(text(response.into_body()).await, "127.0.0.1");
    server.abort();
}
