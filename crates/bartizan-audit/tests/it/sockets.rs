//! Real servers and real clients: those that leave, break off, are refused, or change protocols.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::get;
use bartizan_audit::{Audit, AuditLayer, AuditTap, AuditTapLayer, Ending, Ledger, RequestRecord};
use bartizan_core::{Code, Decision, Outcome, Protocol, Rejection, RejectionKind, SecurityContext};
use bartizan_testkit::{GrpcEcho, GrpcEchoClient, HttpEcho, echo_router};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tower::layer::util::Stack;
use tower::{Layer as _, Service, service_fn};

use crate::hosts::layers;
use crate::support::{Folder, alice, end, with_requests};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// axum's own server, HTTP/1.1.
async fn axum(router: Router, ledger: &Ledger) -> (SocketAddr, JoinHandle<()>) {
    let (listener, address) = listen().await;
    let router = router.layer(layers(ledger));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, server)
}

type Guarded<S> = Audit<AuditTap<S>>;

/// hyper's server, which takes either version of HTTP.
async fn hyper<S, B>(service: S, ledger: &Ledger) -> (SocketAddr, JoinHandle<()>)
where
    S: Clone + Send + 'static,
    Stack<AuditTapLayer, AuditLayer>: tower::Layer<S, Service = Guarded<S>>,
    Guarded<S>: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    <Guarded<S> as Service<Request<Incoming>>>::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let (listener, address) = listen().await;
    let service = layers(ledger).layer(service);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, server)
}

async fn tonic(ledger: &Ledger) -> (SocketAddr, JoinHandle<()>) {
    let (listener, address) = listen().await;
    let server = Server::builder()
        .layer(layers(ledger))
        .add_service(GrpcEcho)
        .serve_with_incoming(TcpIncoming::from(listener));
    (address, tokio::spawn(async { server.await.unwrap() }))
}

async fn grpc(address: SocketAddr) -> GrpcEchoClient<tonic::transport::Channel> {
    let endpoint = Endpoint::try_from(format!("http://{address}")).unwrap();
    GrpcEchoClient::new(endpoint.connect().await.unwrap())
}

/// Sends a request over a connection of its own, and leaves once it has read this much.
async fn leave_after(address: SocketAddr, head: &str, last: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(last) {
        seen.push(stream.read_u8().await.unwrap());
    }
    seen
}

const GET_OPEN: &str = "GET /stream/2/open HTTP/1.1\r\nhost: test\r\n\r\n";

/// The one record that there is, once there is one: its server runs on meanwhile.
async fn the_record<R>(
    ledger: &Ledger,
    folder: &Folder,
    look: impl FnOnce(&RequestRecord<'_>) -> R,
) -> R {
    while ledger.totals().accepted == 0 {
        tokio::task::yield_now().await;
    }
    let report = end(ledger, folder).await;
    assert_eq!((report.totals.accepted, report.totals.durable), (1, 1));
    with_requests(folder, |requests| {
        let [request] = requests else {
            panic!("one request: {requests:?}");
        };
        look(request)
    })
}

fn left_in_the_middle(request: &RequestRecord<'_>) {
    assert_eq!(
        (request.status, request.ending),
        (Some(200), Ending::Disconnected)
    );
    assert!(request.response_bytes >= 4, "{request:?}");
}

#[tokio::test]
async fn a_client_of_axum_that_leaves_in_the_middle_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (address, server) = axum(echo_router(), &ledger).await;
    leave_after(address, GET_OPEN, b"1\n\r\n").await;
    the_record(&ledger, &folder, left_in_the_middle).await;
    server.abort();
}

#[tokio::test]
async fn a_client_of_hyper_that_leaves_in_the_middle_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (address, server) = hyper(HttpEcho, &ledger).await;
    leave_after(address, GET_OPEN, b"1\n\r\n").await;
    the_record(&ledger, &folder, left_in_the_middle).await;
    server.abort();
}

/// A client that speaks HTTP/2.
async fn http2(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn to(address: SocketAddr, path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://{address}{path}"))
        .body(Empty::new())
        .unwrap()
}

#[tokio::test]
async fn a_stream_of_http2_that_is_reset_in_the_middle_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (address, server) = hyper(HttpEcho, &ledger).await;
    let mut client = http2(address).await;
    let response = client
        .send_request(to(address, "/stream/2/open"))
        .await
        .unwrap();
    let mut body = response.into_body();
    let mut seen = Vec::new();
    while seen != b"0\n1\n" {
        let frame = body.frame().await.unwrap().unwrap();
        seen.extend_from_slice(&frame.into_data().unwrap());
    }
    // The connection stays; the stream does not.
    drop(body);
    the_record(&ledger, &folder, left_in_the_middle).await;
    server.abort();
}

#[tokio::test]
async fn a_call_of_grpc_that_is_cancelled_in_the_middle_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (address, server) = tonic(&ledger).await;
    let mut client = grpc(address).await;
    let request = tonic::Request::new(Bytes::from_static(b"2/open"));
    let mut answers = client.stream(request).await.unwrap().into_inner();
    for expected in ["0", "1"] {
        assert_eq!(answers.message().await.unwrap().unwrap(), expected);
    }
    drop(answers);
    the_record(&ledger, &folder, |request| {
        assert_eq!(request.template, Some("/bartizan.testkit.Echo/Stream"));
        assert_eq!(
            (request.ending, request.grpc_status),
            (Ending::Disconnected, None)
        );
        assert_eq!(request.response_bytes, 12);
    })
    .await;
    server.abort();
}

/// A handler that says who calls, and never answers.
fn silent(begun: &tokio::sync::mpsc::UnboundedSender<()>) -> Router {
    let begun = begun.clone();
    Router::new().route(
        "/echo",
        get(move |request: axum::extract::Request| async move {
            let context = SecurityContext::of(request.extensions()).unwrap();
            context.set_principal(alice()).unwrap();
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
        }),
    )
}

fn left_before(request: &RequestRecord<'_>) {
    assert_eq!(
        (request.status, request.ending),
        (None, Ending::Disconnected)
    );
    assert_eq!(
        (request.subject, request.template),
        (Some("alice"), Some("/echo"))
    );
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let (address, server) = axum(silent(&begun), &ledger).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"GET /echo HTTP/1.1\r\nhost: test\r\n\r\n";
    stream.write_all(head).await.unwrap();
    has_begun.recv().await.unwrap();
    drop(stream);
    the_record(&ledger, &folder, left_before).await;
    server.abort();
}

#[tokio::test]
async fn a_stream_of_http2_that_is_reset_before_the_answer_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let (address, server) = axum(silent(&begun), &ledger).await;
    let mut client = http2(address).await;
    let request = tokio::spawn(client.send_request(to(address, "/echo")));
    has_begun.recv().await.unwrap();
    request.abort();
    the_record(&ledger, &folder, left_before).await;
    server.abort();
}

#[tokio::test]
async fn a_refusal_without_a_message_is_recorded_with_its_grpc_status() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (address, server) = tonic(&ledger).await;
    let mut client = grpc(address).await;
    let request = tonic::Request::new(Bytes::from_static(b"no number"));
    let refused = client.stream(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    the_record(&ledger, &folder, |request| {
        assert_eq!((request.status, request.grpc_status), (Some(200), Some(3)));
        assert_eq!(
            (request.ending, request.response_bytes),
            (Ending::Complete, 0)
        );
    })
    .await;
    server.abort();
}

#[tokio::test]
async fn what_a_guard_refuses_over_grpc_is_recorded_with_its_code() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let guard = service_fn(
        async |request: Request<bartizan_audit::TapBody<Incoming>>| {
            let context = SecurityContext::of(request.extensions()).unwrap();
            context.set_principal(alice()).unwrap();
            let code = Code::new("authz.no_rule");
            context.record(Decision::new("authz", Outcome::Denied).with_code(code));
            let rejection = Rejection::new(RejectionKind::Forbidden, code);
            Ok::<_, Infallible>(rejection.into_response(Protocol::Grpc))
        },
    );
    let (address, server) = hyper(guard, &ledger).await;
    let refused = grpc(address)
        .await
        .unary(tonic::Request::new(Bytes::new()))
        .await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::PermissionDenied);
    the_record(&ledger, &folder, |request| {
        assert_eq!(request.grpc_status, Some(7));
        assert_eq!(request.decisions[0].code, Some("authz.no_rule"));
        assert_eq!(
            (request.ending, request.subject),
            (Ending::Complete, Some("alice"))
        );
    })
    .await;
    server.abort();
}

#[tokio::test]
async fn an_upgrade_passes_both_ways_and_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let (address, server) = hyper(HttpEcho, &ledger).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /upgrade HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\n\
                upgrade: bartizan-echo\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    for round in 0..3_u8 {
        stream.write_all(&[round, round + 1]).await.unwrap();
        let mut echo = [0; 2];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, [round, round + 1]);
    }
    the_record(&ledger, &folder, |request| {
        assert_eq!(
            (request.status, request.ending),
            (Some(101), Ending::Complete)
        );
        assert_eq!(request.response_bytes, 0);
    })
    .await;
    server.abort();
}

#[tokio::test]
async fn a_websocket_passes_and_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let socket = get(async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                socket.send(Message::Text(text)).await.unwrap();
            }
        })
    });
    let (address, server) = axum(Router::new().route("/echo", socket), &ledger).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /echo HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    // A masked text frame of two bytes, and its echo without a mask.
    let frame = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
    stream.write_all(&frame).await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(echo, [0x81, 2, b'h', b'i']);
    the_record(&ledger, &folder, |request| {
        assert_eq!(
            (request.status, request.template),
            (Some(101), Some("/echo"))
        );
        assert_eq!(request.ending, Ending::Complete);
    })
    .await;
    server.abort();
}

#[tokio::test]
async fn a_handler_that_panics_behind_a_server_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let panics = get(async || {
        if true {
            panic!("planned");
        }
    });
    let (address, server) = axum(Router::new().route("/echo", panics), &ledger).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"GET /echo HTTP/1.1\r\nhost: test\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    assert_eq!(
        stream.read_to_end(&mut answer).await.unwrap(),
        0,
        "it breaks off"
    );
    the_record(&ledger, &folder, |request| {
        assert_eq!((request.status, request.ending), (None, Ending::Panicked));
        assert_eq!(request.template, Some("/echo"));
    })
    .await;
    server.abort();
}

#[tokio::test]
async fn a_body_that_breaks_behind_a_server_is_recorded() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let breaks = get(async || {
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"first"))),
            Err(std::io::Error::other("planned")),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Response::new(axum::body::Body::new(body))
    });
    let (address, server) = axum(Router::new().route("/echo", breaks), &ledger).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"GET /echo HTTP/1.1\r\nhost: test\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.ends_with(b"0\r\n\r\n"), "the client can tell");
    the_record(&ledger, &folder, |request| {
        assert_eq!(
            (request.status, request.ending),
            (Some(200), Ending::BodyFailed)
        );
        assert_eq!(request.response_bytes, 5);
    })
    .await;
    server.abort();
}

#[tokio::test]
async fn requests_of_one_connection_are_complete_each() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let service = service_fn(
        async |request: Request<bartizan_audit::TapBody<Incoming>>| {
            let (status, text) = match request.uri().path() {
                "/none" => (StatusCode::NO_CONTENT, ""),
                "/same" => (StatusCode::NOT_MODIFIED, "not sent"),
                _ => (StatusCode::OK, "whole"),
            };
            let mut response = Response::new(Full::new(Bytes::from(text)));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        },
    );
    let (address, server) = hyper(service, &ledger).await;
    let sent = [
        ("GET", "/echo", 200, 5),
        ("HEAD", "/echo", 200, 0),
        ("GET", "/none", 204, 0),
        ("GET", "/same", 304, 0),
        ("GET", "/echo", 200, 5),
    ];
    let mut stream = TcpStream::connect(address).await.unwrap();
    for (method, path, ..) in sent {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"whole") || !answer.windows(3).any(|it| it == b"304") {
        answer.push(stream.read_u8().await.unwrap());
    }
    drop(stream);
    let report = end(&ledger, &folder).await;
    assert_eq!(report.totals.durable, 5);
    with_requests(&folder, |requests| {
        for (request, (method, path, status, bytes)) in requests.iter().zip(sent) {
            assert_eq!(
                (request.method, request.status),
                (method, Some(status)),
                "{path}"
            );
            assert_eq!(
                request.ending,
                Ending::Complete,
                "{method} {path}: {request:?}"
            );
            assert_eq!(request.response_bytes, bytes, "{method} {path}");
        }
    });
    server.abort();
}
