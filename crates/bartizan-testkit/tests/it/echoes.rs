//! The echo services.

use bartizan_core::{
    Code, Decision, Outcome, Peer, PeerIdentity, Principal, Scheme, SecurityContext,
    VerifiedCertificate, WallTime,
};
use bartizan_testkit::{Call, GrpcEcho, GrpcEchoClient, Host, HttpEcho, echo_router};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_stream::StreamExt as _;
use tower::ServiceExt as _;
use tower::layer::util::Identity;

#[tokio::test]
async fn both_echoes_say_what_they_saw() {
    let context = SecurityContext::new("/echo".parse().unwrap());
    context
        .set_peer(Peer::assert_verified(VerifiedCertificate {
            identity: PeerIdentity::Spiffe("spiffe://example.org/a".parse().unwrap()),
            certificate_sha256: [0xab; 32],
            serial: Box::from([1, 2]),
            not_after: WallTime::from_unix_seconds(9),
        }))
        .unwrap();
    let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice")
        .with_client("web")
        .with_scopes(["read", "write"])
        .assert_verified();
    context.set_principal(principal).unwrap();
    let code = Code::new("test.expired");
    context.record(Decision::new("test", Outcome::WouldHaveDenied).with_code(code));
    let call = Call::echo("body")
        .add_extension(context)
        .add_header(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer secret"),
        )
        .add_header(header::ACCEPT, HeaderValue::from_static("a"))
        .add_header(header::ACCEPT, HeaderValue::from_static("b"));
    for host in Host::WITHOUT_SOCKETS {
        let answer = host.send(&Identity::new(), &call).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        let seen = answer.json();
        assert_eq!(seen["method"], "POST");
        assert_eq!(seen["body"], "body");
        assert_eq!(seen["headers"]["accept"], json!(["a", "b"]), "{host:?}");
        assert_eq!(seen["headers"]["authorization"], json!(["redacted"]));
        assert_eq!(
            seen["context"]["peer"]["spiffe_id"],
            "spiffe://example.org/a"
        );
        assert_eq!(seen["context"]["peer"]["serial"], "0102");
        assert_eq!(seen["context"]["principal"]["subject"], "alice");
        assert_eq!(
            seen["context"]["principal"]["scopes"],
            json!(["read", "write"])
        );
        let decision = json!({
            "layer": "test", "outcome": "would_have_denied", "code": "test.expired", "detail": null,
        });
        assert_eq!(seen["context"]["decisions"], json!([decision]));
    }
}

#[tokio::test]
async fn streams_answer_as_many_items_as_asked() {
    for host in Host::WITHOUT_SOCKETS {
        let answer = host.send(&Identity::new(), &Call::stream(3)).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        let expected = if host.is_grpc() { "012" } else { "0\n1\n2\n" };
        assert_eq!(answer.text(), expected, "{host:?}");
    }
}

#[tokio::test]
async fn an_open_http_stream_waits_for_the_client_to_leave() {
    let request = Request::get("/stream/1/open")
        .body(axum::body::Body::empty())
        .unwrap();
    let mut body = echo_router().oneshot(request).await.unwrap().into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "0\n"
    );
    let next = poll_once(body.frame());
    assert!(next.is_pending());
}

#[tokio::test]
async fn an_open_grpc_stream_waits_for_the_client_to_leave() {
    let mut client = GrpcEchoClient::new(GrpcEcho);
    let request = tonic::Request::new(Bytes::from_static(b"2/open"));
    let mut items = client.stream(request).await.unwrap().into_inner();
    assert_eq!(items.next().await.unwrap().unwrap(), "0");
    assert_eq!(items.next().await.unwrap().unwrap(), "1");
    assert!(poll_once(items.next()).is_pending());
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let get =
        |path: &str| HttpEcho.oneshot(Request::get(path).body(Empty::<Bytes>::new()).unwrap());
    assert_eq!(get("/stream/many").await.unwrap().status(), 404);
    assert_eq!(get("/upgrade").await.unwrap().status(), 426);
    let large = vec![0; (1 << 20) + 1];
    let request = Request::post("/echo")
        .body(axum::body::Body::from(large))
        .unwrap();
    assert_eq!(HttpEcho.oneshot(request).await.unwrap().status(), 413);

    let mut client = GrpcEchoClient::new(GrpcEcho);
    let request = tonic::Request::new(Bytes::from_static(b"many"));
    let status = client.stream(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn an_upgraded_connection_returns_every_byte() {
    let (near, far) = tokio::io::duplex(1_024);
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(
                TokioIo::new(far),
                hyper_util::service::TowerToHyperService::new(echo_router()),
            )
            .with_upgrades(),
    );
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/upgrade")
        .header("connection", "upgrade")
        .header("upgrade", "bartizan-echo")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 101);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
}

/// Polls once, without a waker: whatever is not there now is not there.
fn poll_once<F: Future>(future: F) -> std::task::Poll<F::Output> {
    let mut future = Box::pin(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    future.as_mut().poll(&mut context)
}
