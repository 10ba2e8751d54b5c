//! Clients that go away in the middle of a response, on every host.

use std::convert::Infallible;
use std::net::SocketAddr;

use bartizan_core::{Chain, GuardLayer};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer as _, service_fn};

use crate::support::Gate;

/// Reads the head and the first piece of a response that never ends, then goes away; the pass
/// must then be given back.
async fn leave_in_the_middle(address: SocketAddr, gate: &Gate) {
    let mut held = gate.held();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /open HTTP/1.1\r\nhost: test\r\nx-pass: yes\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
    held.wait_for(|held| *held == 1).await.unwrap();
    drop(stream);
    held.wait_for(|held| *held == 0).await.unwrap();
}

type Endless = futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

fn endless() -> Endless {
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"first")))]);
    first.chain(futures_util::stream::pending()).boxed()
}

#[tokio::test]
async fn axum_gives_the_pass_back() {
    let gate = Gate::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let open = async || axum::body::Body::new(StreamBody::new(endless()));
    let app = axum::Router::new()
        .route("/open", axum::routing::get(open))
        .layer(GuardLayer::new(Chain::new(
            gate.clone(),
            Gate::named("second").later(),
        )));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    leave_in_the_middle(address, &gate).await;
    server.abort();
}

#[tokio::test]
async fn hyper_gives_the_pass_back() {
    let gate = Gate::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let guards = Chain::new(gate.clone(), Gate::named("second").later());
    let service = GuardLayer::new(guards).layer(service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(StreamBody::new(endless())))
    }));
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let builder = Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(service);
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
    leave_in_the_middle(address, &gate).await;
    server.await.unwrap();
}

#[tokio::test]
async fn tonic_gives_the_pass_back() {
    let gate = Gate::new();
    let mut held = gate.held();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let guards = Chain::new(gate.clone(), Gate::named("second").later());
    let server = tokio::spawn(
        tonic::transport::Server::builder()
            .layer(GuardLayer::new(guards))
            .add_service(health)
            .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)),
    );
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let mut watch = tonic::Request::new(HealthCheckRequest::default());
    watch
        .metadata_mut()
        .insert("x-pass", "yes".parse().unwrap());
    // The health service streams the status for as long as somebody watches.
    let mut updates = client.watch(watch).await.unwrap().into_inner();
    assert!(updates.message().await.unwrap().is_some());
    held.wait_for(|held| *held == 1).await.unwrap();
    drop(updates);
    held.wait_for(|held| *held == 0).await.unwrap();
    server.abort();
}
