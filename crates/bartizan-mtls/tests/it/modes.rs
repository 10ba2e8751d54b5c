//! Clients without a certificate, and plaintext beside TLS: what is let in, and what only tries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Outcome, observe_fn};
use bartizan_mtls::{
    ANONYMOUS, HANDSHAKE_COMPLETED, HANDSHAKE_FAILED, HANDSHAKE_TIMEOUT, Migration, MtlsLayer,
    MtlsListener, MtlsListenerBuilder, PLAINTEXT, PLAINTEXT_ENDED, UNKNOWN_AUTHORITY,
};
use bartizan_source::Published;
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, ManualClock};
use http::{HeaderName, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::support::*;

const DAY: Duration = Duration::from_secs(86_400);

/// A service in migration: `/listed` may be called in plaintext for a day.
struct Moving {
    ca: DevelopmentCa,
    clock: ManualClock,
    migration: Migration,
    recorder: Recorder,
    address: SocketAddr,
}

impl Moving {
    async fn new() -> Self {
        Self::with(|migration| migration).await
    }

    async fn with(change: impl FnOnce(Migration) -> Migration) -> Self {
        let ca = ca();
        let clock = ManualClock::at(ca.reference_time());
        let migration = Migration::until(ca.reference_time() + DAY)
            .add_routes(["/listed"])
            .unwrap();
        let (migration, recorder) = (change(migration), Recorder::default());
        let layer = MtlsLayer::builder()
            .allow_peer(ORDERS.parse().unwrap())
            .allow_plaintext(&migration)
            .with_clock(self::clock(&clock))
            .with_observer(recorder.shared())
            .build()
            .unwrap();
        let builder = builder(&ca)
            .with_clock(self::clock(&clock))
            .with_observer(recorder.shared())
            .allow_plaintext(&migration);
        let address = serve(builder, layer).await;
        Self {
            ca,
            clock,
            migration,
            recorder,
            address,
        }
    }

    /// Sends these headers and no others to `/listed`, but for the host.
    async fn plain(&self, headers: &str) -> String {
        plain(
            self.address,
            &format!("GET /listed HTTP/1.1\r\nhost: x\r\n{headers}"),
        )
        .await
    }

    async fn good_client_is_served(&self) {
        let issued = self.ca.workload("/ns/shop/sa/orders").unwrap();
        let answer = foreign_get(&self.ca, Some(&issued), self.address).await;
        assert_eq!(answer.unwrap().body, ORDERS);
    }
}

fn builder(ca: &DevelopmentCa) -> MtlsListenerBuilder {
    MtlsListener::builder(Published::fixed(payments(ca)))
}

/// One request in plaintext, and everything that comes back.
async fn plain(address: SocketAddr, head: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    // The server may have closed before everything is written.
    let _ = tcp
        .write_all(format!("{head}connection: close\r\n\r\n").as_bytes())
        .await;
    rest(tcp).await
}

async fn rest(mut tcp: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset says no more than an end.
    let _ = timeout(PATIENCE, tcp.read_to_end(&mut answer))
        .await
        .expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

fn check(answer: &str, status: u16, part: &str) {
    let line = format!("HTTP/1.1 {status}");
    assert!(
        answer.starts_with(&line) && answer.contains(part),
        "{answer}"
    );
}

async fn http2(address: SocketAddr, path: &str) -> hyper::Result<Response<Incoming>> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await?;
    tokio::spawn(connection);
    let uri = format!("http://localhost{path}");
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    timeout(PATIENCE, sender.send_request(request))
        .await
        .unwrap()
}

#[tokio::test]
async fn plaintext_passes_on_listed_routes_without_a_peer_and_is_counted() {
    let moving = Moving::new().await;
    let answer = moving.plain("").await;
    check(&answer, 200, "seen: host connection");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = plain(moving.address, "GET /other HTTP/1.1\r\nhost: x\r\n").await;
    check(&answer, 403, "mtls.plaintext_not_listed");
    let answer = plain(moving.address, "GET /%6cisted HTTP/1.1\r\nhost: x\r\n").await;
    check(&answer, 403, "mtls.plaintext_not_listed");
    moving.good_client_is_served().await;
    assert_eq!(
        (moving.migration.passed(), moving.migration.refused()),
        (1, 2)
    );
    let let_in: Vec<_> = moving
        .recorder
        .let_in()
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(
        let_in,
        [PLAINTEXT, PLAINTEXT, PLAINTEXT, HANDSHAKE_COMPLETED]
    );
    let codes: Vec<_> = moving
        .recorder
        .codes()
        .iter()
        .map(|code| code.as_str())
        .collect();
    let refused = "mtls.plaintext_not_listed";
    assert_eq!(codes, ["mtls.plaintext", refused, refused]);
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_plaintext_like_any_other() {
    let moving = Moving::new().await;
    let answer = http2(moving.address, "/listed").await.unwrap();
    assert_eq!(
        (answer.status(), answer.version()),
        (StatusCode::OK, Version::HTTP_2)
    );
    let answer = http2(moving.address, "/other").await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(body.contains("mtls.plaintext_not_listed"), "{body}");
}

#[tokio::test]
async fn an_upgrade_to_http2_in_plaintext_is_not_taken() {
    let moving = Moving::new().await;
    let ask = "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    check(&moving.plain(ask).await, 200, "");
}

#[tokio::test]
async fn nothing_passes_in_plaintext_from_the_end_on() {
    let moving = Moving::new().await;
    let mut kept = TcpStream::connect(moving.address).await.unwrap();
    let ask = b"GET /listed HTTP/1.1\r\nhost: x\r\n\r\n";
    kept.write_all(ask).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        timeout(PATIENCE, kept.read_buf(&mut seen))
            .await
            .unwrap()
            .unwrap();
    }
    assert!(seen.starts_with(b"HTTP/1.1 200"));
    moving.clock.advance(DAY - Duration::from_secs(1));
    check(&moving.plain("").await, 200, "");

    moving.clock.advance(Duration::from_secs(1));
    kept.write_all(b"GET /listed HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    check(&rest(kept).await, 403, "mtls.plaintext_ended");
    let before = moving.recorder.codes().len();
    assert_eq!(moving.plain("").await, "");
    assert!(http2(moving.address, "/listed").await.is_err());
    let codes = moving.recorder.wait_for(before + 2).await;
    assert_eq!([codes[before].0, codes[before + 1].0], [PLAINTEXT_ENDED; 2]);
    moving.good_client_is_served().await;
}

#[tokio::test]
async fn identity_headers_and_tokens_do_not_pass_in_plaintext() {
    let moving = Moving::new().await;
    let spoofed = format!(
        "x-forwarded-client-cert: By=spiffe://example.org/x;URI={ORDERS}\r\n\
         client-cert: :AAAA:\r\nclient-cert-chain: :AAAA:\r\n"
    );
    check(
        &moving.plain(&spoofed).await,
        200,
        "seen: host connection\r\n",
    );
    for token in ["Bearer x", "DPoP x", "Basic eDp4"] {
        let answer = moving.plain(&format!("authorization: {token}\r\n")).await;
        check(&answer, 403, "mtls.token_in_plaintext");
    }
    check(&moving.plain("x-api-key: k\r\n").await, 200, "x-api-key");
    let names = ["x-api-key", "cookie"].map(HeaderName::from_static);
    let named = names.clone();
    let moving = Moving::with(move |it| it.with_credential_headers(named)).await;
    for header in ["X-API-Key: k", "cookie: a=b"] {
        let answer = moving.plain(&format!("{header}\r\n")).await;
        check(&answer, 403, "mtls.credential_in_plaintext");
    }
    check(&moving.plain("x-other: k\r\n").await, 200, "x-other");
    let allows = |it: Migration| it.with_credential_headers(names).insecure_allow_tokens();
    let moving = Moving::with(allows).await;
    for header in ["authorization: Bearer x", "cookie: a=b"] {
        let answer = moving.plain(&format!("{header}\r\n")).await;
        let name = header.split(':').next().unwrap();
        check(&answer, 200, &format!("seen: host {name} connection"));
    }
}

#[tokio::test]
async fn listener_and_layer_both_have_to_be_told() {
    let ca = ca();
    let migration = Migration::until(ca.reference_time() + DAY)
        .add_routes(["/"])
        .unwrap();
    let clock = clock(&ManualClock::at(ca.reference_time()));
    let untold = builder(&ca)
        .with_clock(Arc::clone(&clock))
        .allow_plaintext(&migration);
    let address = serve(untold, allow(ORDERS)).await;
    let ask = "GET / HTTP/1.1\r\nhost: x\r\n";
    check(&plain(address, ask).await, 401, "mtls.no_peer");

    let recorder = Recorder::default();
    let told = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .allow_plaintext(&migration)
        .with_clock(clock)
        .build()
        .unwrap();
    let address = serve(builder(&ca).with_observer(recorder.shared()), told).await;
    assert!(!plain(address, ask).await.contains("HTTP"));
    assert_eq!(recorder.wait_for(1).await[0].0, HANDSHAKE_FAILED);
}

#[tokio::test]
async fn tls_that_comes_byte_by_byte_is_tls() {
    let moving = Moving::new().await;
    let issued = moving.ca.workload("/ns/shop/sa/orders").unwrap();
    let config = Arc::new(dangerous_client_config(&moving.ca, Some(&issued)).unwrap());
    let tcp = TcpStream::connect(moving.address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = "localhost".try_into().unwrap();
    let bytes = ByteByByte(tcp);
    let mut tls = TlsConnector::from(config)
        .connect(name, bytes)
        .await
        .unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    tls.flush().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, tls.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.ends_with(ORDERS), "{answer}");
}

#[tokio::test]
async fn what_is_neither_tls_nor_a_request_fails_as_tls() {
    let moving = Moving::new().await;
    for first in [b'g', b'\r', b' ', 0x00, 0x15, 0x80, 0xff] {
        let before = moving.recorder.codes().len();
        let mut tcp = TcpStream::connect(moving.address).await.unwrap();
        let _ = tcp
            .write_all(&[&[first], &b"ET /listed HTTP/1.1\r\n\r\n"[..]].concat())
            .await;
        let answer = rest(tcp).await;
        assert!(!answer.contains("HTTP"), "{answer}");
        let codes = moving.recorder.wait_for(before + 1).await;
        assert_eq!(codes[before].0, HANDSHAKE_FAILED, "{first:x}");
    }
    moving.good_client_is_served().await;
}

#[tokio::test]
async fn a_slow_first_byte_delays_nobody_and_has_an_end() {
    let (ca, recorder) = (ca(), Recorder::default());
    let migration = Migration::until(ca.reference_time() + DAY)
        .add_routes(["/"])
        .unwrap();
    let short = Duration::from_millis(300);
    let builder = builder(&ca)
        .with_handshake_timeout(short)
        .with_observer(recorder.shared())
        .allow_plaintext(&migration);
    let address = serve(builder, allow(ORDERS)).await;
    let silent = TcpStream::connect(address).await.unwrap();
    // One that may become HTTP/2 or not.
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&issued), address).await.is_ok());
    assert_eq!(
        (rest(silent).await, rest(slow).await),
        (String::new(), String::new())
    );
    let codes: Vec<_> = recorder
        .wait_for(2)
        .await
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(codes, [HANDSHAKE_TIMEOUT; 2]);
}

#[tokio::test]
async fn a_client_without_certificate_passes_where_both_say_so() {
    let (ca, recorder) = (ca(), Recorder::default());
    let layer = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .allow_no_certificate()
        .build()
        .unwrap();
    let builder = || {
        builder(&ca)
            .allow_no_certificate()
            .with_observer(recorder.shared())
    };
    let address = serve(builder(), layer).await;
    let answer = foreign_get(&ca, None, address).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, ""));
    assert_eq!(recorder.let_in(), [(ANONYMOUS, String::new())]);
    // One that is shown counts.
    let listed = ca.workload("/ns/shop/sa/orders").unwrap();
    let answer = foreign_get(&ca, Some(&listed), address).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, ORDERS));
    let other = ca.workload("/other").unwrap();
    let answer = foreign_get(&ca, Some(&other), address).await.unwrap();
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let stranger = self::ca().workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&stranger), address).await.is_err());
    assert_eq!(recorder.wait_for(1).await[0].0, UNKNOWN_AUTHORITY);
    // Nor is plaintext a client without a certificate.
    let answer = plain(address, "GET / HTTP/1.1\r\nhost: x\r\n").await;
    assert!(!answer.contains("HTTP"), "{answer}");

    let strict = serve(builder(), allow(ORDERS)).await;
    let answer = foreign_get(&ca, None, strict).await.unwrap();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains("mtls.no_peer"), "{}", answer.body);
}

#[tokio::test]
async fn the_monitor_tells_how_clients_were_let_in() {
    let ca = ca();
    let migration = Migration::until(ca.reference_time() + DAY);
    let mut listener = builder(&ca)
        .allow_no_certificate()
        .allow_plaintext(&migration)
        .with_clock(clock(&ManualClock::at(ca.reference_time())))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let (address, monitor) = (listener.local_addr(), listener.monitor());
    let accepting = tokio::spawn(async move {
        for expected in [None, None, Some(ORDERS.to_owned())] {
            let stream = listener.accept().await.unwrap();
            assert_eq!(stream.peer().map(ToString::to_string), expected);
        }
    });
    assert_eq!(plain(address, "GET / HTTP/1.1\r\n").await, "");
    assert!(foreign_get(&ca, None, address).await.is_err());
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&issued), address).await.is_err());
    timeout(PATIENCE, accepting).await.unwrap().unwrap();
    let status = monitor.status();
    assert_eq!(
        (
            status.plaintext_connections,
            status.handshakes_anonymous,
            status.handshakes_completed
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn shadow_mode_lets_unlisted_plaintext_pass_and_records() {
    let ca = ca();
    let migration = Migration::until(ca.reference_time() + DAY);
    let (seen, recorded) = tokio::sync::mpsc::unbounded_channel();
    let mut recorded = recorded;
    let layer = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .allow_plaintext(&migration)
        .with_enforcement(bartizan_core::Enforcement::Shadow)
        .with_clock(clock(&ManualClock::at(ca.reference_time())))
        .with_observer(Arc::new(observe_fn(move |event| {
            if let bartizan_core::Event::Decision(decision) = event {
                let _ = seen.send((decision.outcome(), decision.code()));
            }
        })))
        .build()
        .unwrap();
    let address = serve(
        builder(&ca)
            .with_clock(clock(&ManualClock::at(ca.reference_time())))
            .allow_plaintext(&migration),
        layer,
    )
    .await;
    check(
        &plain(address, "GET / HTTP/1.1\r\nhost: x\r\n").await,
        200,
        "",
    );
    let decision = timeout(PATIENCE, recorded.recv()).await.unwrap().unwrap();
    let code = bartizan_mtls::PLAINTEXT_NOT_LISTED;
    assert_eq!(decision, (Outcome::WouldHaveDenied, Some(code)));
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_serves_both() {
    use bartizan_core::{AxumListener, Connection, Peer};

    let ca = ca();
    let clock = clock(&ManualClock::at(ca.reference_time()));
    let migration = Migration::until(ca.reference_time() + DAY)
        .add_routes(["/"])
        .unwrap();
    let layer = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .allow_plaintext(&migration)
        .with_clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let name = async |peer: Option<Peer>| peer.map(|it| it.to_string()).unwrap_or_default();
    let strict = async |peer: Peer| peer.to_string();
    let app = axum::Router::new()
        .route("/", axum::routing::get(name))
        .route("/strict", axum::routing::get(strict))
        .layer(layer)
        .into_make_service_with_connect_info::<Connection>();
    let listener = builder(&ca).with_clock(clock).allow_plaintext(&migration);
    let listener = listener.bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(async move { axum::serve(AxumListener::new(listener), app).await });
    check(
        &plain(address, "GET / HTTP/1.1\r\nhost: x\r\n").await,
        200,
        "",
    );
    assert_eq!(http2(address, "/").await.unwrap().status(), StatusCode::OK);
    let answer = http2(address, "/strict").await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let answer = get(&client(orders(&ca), only(PAYMENTS)), address)
        .await
        .unwrap();
    assert_eq!(answer.body, ORDERS);
}

#[cfg(feature = "tonic")]
#[tokio::test]
async fn tonic_serves_both() {
    use tonic::transport::{Endpoint, Server};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let ca = ca();
    let clock = clock(&ManualClock::at(ca.reference_time()));
    let migration = Migration::until(ca.reference_time() + DAY)
        .add_routes(["/grpc.health.v1.Health/Check"])
        .unwrap();
    let layer = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .allow_plaintext(&migration)
        .with_clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let listener = builder(&ca).with_clock(clock).allow_plaintext(&migration);
    let listener = listener.bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(layer).add_service(health);
    tokio::spawn(server.serve_with_incoming(listener));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let plain = endpoint.connect().await.unwrap();
    let connector =
        bartizan_mtls::MtlsConnector::new(Published::fixed(orders(&ca)), only(PAYMENTS));
    let secure = endpoint.connect_with_connector(connector).await.unwrap();
    for channel in [plain.clone(), secure] {
        let answer = HealthClient::new(channel)
            .check(HealthCheckRequest::default())
            .await;
        assert_eq!(answer.unwrap().into_inner().status, 1);
    }
    let refused = HealthClient::new(plain)
        .watch(HealthCheckRequest::default())
        .await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::PermissionDenied);
}

#[cfg(feature = "serve")]
#[tokio::test]
async fn the_server_loop_ends_plaintext_connections_at_the_end() {
    let ca = ca();
    let recorder = Recorder::default();
    let manual = ManualClock::at(ca.reference_time());
    let migration = Migration::until(ca.reference_time() + DAY)
        .add_routes(["/"])
        .unwrap();
    let layer = MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .allow_plaintext(&migration)
        .with_clock(clock(&manual))
        .build()
        .unwrap();
    let listener = builder(&ca)
        .with_clock(clock(&manual))
        .with_observer(recorder.shared())
        .allow_plaintext(&migration);
    let listener = listener.bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let service = tower::Layer::layer(
        &layer,
        tower::service_fn(async |_: Request<Incoming>| {
            Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
        }),
    );
    tokio::spawn(bartizan_mtls::serve(listener, service).into_future());
    // From here on, the connection waits for a second at most before it looks at the clock.
    manual.advance(DAY - Duration::from_secs(1));
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://localhost/")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    manual.advance(Duration::from_secs(1));
    assert_eq!(recorder.wait_for(1).await[0].0, PLAINTEXT_ENDED);
    timeout(PATIENCE, connection)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

/// Writes no more than one byte at a time.
struct ByteByByte(TcpStream);

impl tokio::io::AsyncRead for ByteByByte {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for ByteByByte {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let one = bytes.len().min(1);
        std::pin::Pin::new(&mut self.0).poll_write(cx, &bytes[..one])
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn an_idle_plaintext_connection_ends_with_its_migration() {
    let ca = ca();
    let clock = ManualClock::at(ca.reference_time());
    let migration = Migration::until(ca.reference_time() + DAY);
    let mut listener = builder(&ca)
        .with_clock(self::clock(&clock))
        .with_drain_timeout(Duration::ZERO)
        .allow_plaintext(&migration)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let mut client = TcpStream::connect(listener.local_addr()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let accepted = timeout(PATIENCE, listener.accept()).await.unwrap();
    let mut stream = accepted.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    let waits = tokio::spawn(async move { stream.read(&mut [0; 16]).await });
    tokio::task::yield_now().await;
    clock.advance(DAY);
    let end = timeout(PATIENCE, waits).await.expect("an end").unwrap();
    assert_eq!(end.unwrap(), 0);
}
