//! Upgraded connections pass through the guard.

use std::convert::Infallible;

use axum::extract::ws::{Message, WebSocketUpgrade};
use bartizan_core::{Chain, GuardLayer};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, service_fn};

use crate::support::Gate;

fn guards() -> Chain<Gate, Gate> {
    Chain::new(Gate::named("one"), Gate::named("two").later())
}

/// Sends the head of an upgrade request and reads the head of the answer.
async fn open(address: std::net::SocketAddr, protocol: &str, passes: bool) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let pass = if passes { "x-pass: yes\r\n" } else { "" };
    let head = format!(
        "GET /ws HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{pass}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_websocket_of_axum_works_behind_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new()
        .route(
            "/ws",
            axum::routing::get(async |upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(async |mut socket| {
                    while let Some(Ok(Message::Text(text))) = socket.recv().await {
                        socket.send(Message::Text(text)).await.unwrap();
                    }
                })
            }),
        )
        .layer(GuardLayer::new(guards()));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let (mut stream, head) = open(address, "websocket", true).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // A masked text frame of two bytes, and its echo without a mask.
    stream
        .write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2])
        .await
        .unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(echo, [0x81, 2, b'h', b'i']);

    let (_, head) = open(address, "websocket", false).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    server.abort();
}

#[tokio::test]
async fn an_upgrade_of_hyper_works_behind_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = GuardLayer::new(guards()).layer(service_fn(async |r: Request<Incoming>| {
        tokio::spawn(async move {
            let mut upgraded = TokioIo::new(hyper::upgrade::on(r).await.unwrap());
            let byte = upgraded.read_u8().await.unwrap();
            upgraded.write_u8(byte + 1).await.unwrap();
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "count");
        Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
    }));
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let io = TokioIo::new(stream);
                let _ = builder.serve_connection_with_upgrades(io, service).await;
            });
        }
    });

    let (mut stream, head) = open(address, "count", true).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream.write_u8(6).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 7);

    let (_, head) = open(address, "count", false).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    server.abort();
}
