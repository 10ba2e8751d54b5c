//! The server loop: its limits, and connections that have to end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Connection, Peer};
use bartizan_mtls::{
    CONNECTION_AGED, CONNECTION_CUT, EndConnection, Material, MtlsConnector, MtlsListener,
    MtlsListenerBuilder, MtlsStream, PEER_EXPIRED, Serve, TRUST_WITHDRAWN, TrustBundles,
};
use bartizan_source::{Published, Publisher};
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, ManualClock};
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::{Service, service_fn};

use crate::support::*;

/// A service whose requests wait until they are let go, and then name the peer.
#[derive(Clone, Debug)]
struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn closed() -> Self {
        Self {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    fn open() -> Self {
        let gate = Self::closed();
        gate.open.add_permits(1_000_000);
        gate
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        self.entered.add_permits(1);
        self.open.acquire().await.expect("never closed").forget();
        let peer = Connection::of(request.extensions()).and_then(Connection::peer);
        let name = peer.map(Peer::to_string).unwrap_or_default();
        Ok(Response::new(Full::from(name)))
    }

    async fn somebody_waits(&self) {
        let entered = timeout(PATIENCE, self.entered.acquire()).await;
        entered.expect("a request").expect("never closed").forget();
    }
}

impl Service<Request<Incoming>> for Gate {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move { gate.pass(request).await })
    }
}

struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn of(
        builder: MtlsListenerBuilder,
        gate: &Gate,
        change: impl FnOnce(Serve<Gate>) -> Serve<Gate>,
    ) -> Self {
        let listener = builder.bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = change(bartizan_mtls::serve(listener, gate.clone())).with_shutdown(async {
            let _ = stopped.await;
        });
        Self {
            address,
            stop: Some(stop),
            task: tokio::spawn(serve.into_future()),
        }
    }

    fn stop(&mut self) {
        self.stop.take().expect("not stopped yet").send(()).unwrap();
    }

    async fn has_ended(self) {
        let ended = timeout(PATIENCE, self.task).await.expect("an end");
        ended.expect("no panic").expect("no error");
    }
}

/// An HTTP/2 connection of orders, and its driver.
struct Http2 {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    async fn connect(ca: &DevelopmentCa, address: SocketAddr) -> Self {
        let stream = connect(ca, address).await;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("http/2");
        let driver = tokio::spawn(connection);
        Self { sender, driver }
    }

    fn get(&self) -> JoinHandle<hyper::Result<(StatusCode, Bytes)>> {
        let mut sender = self.sender.clone();
        tokio::spawn(async move {
            let request = Request::get("https://localhost/").body(Empty::new());
            let response = sender.send_request(request.expect("a request")).await?;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        })
    }

    async fn has_ended(self) {
        let ended = timeout(PATIENCE, self.driver).await.expect("an end");
        ended.expect("no panic").expect("a graceful end");
    }
}

async fn connect(ca: &DevelopmentCa, address: SocketAddr) -> MtlsStream {
    let connector = MtlsConnector::new(Published::fixed(orders(ca)), only(PAYMENTS));
    let uri = format!("https://{address}/").parse().expect("a uri");
    connector.connect(&uri).await.expect("a connection")
}

/// A connection without ALPN, which means HTTP/1.1.
async fn connect_http1(ca: &DevelopmentCa, address: SocketAddr) -> TlsStream<TcpStream> {
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let config = dangerous_client_config(ca, Some(&issued)).unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let name = "localhost".try_into().unwrap();
    connector.connect(name, tcp).await.unwrap()
}

/// What the far end sends until it closes.
async fn rest(mut stream: impl AsyncReadExt + Unpin) -> String {
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // Whoever does not finish is not seen off in style: a reset or no `close_notify` will do.
    let _ = end.expect("closed in time");
    String::from_utf8(rest).expect("text")
}

fn builder(ca: &DevelopmentCa) -> MtlsListenerBuilder {
    MtlsListener::builder(Published::fixed(payments(ca)))
}

async fn answered(request: JoinHandle<hyper::Result<(StatusCode, Bytes)>>) {
    let answer = timeout(PATIENCE, request).await.expect("an answer");
    let (status, body) = answer.expect("no panic").expect("not lost");
    assert_eq!((status, &*body), (StatusCode::OK, ORDERS.as_bytes()));
}

#[tokio::test]
async fn tells_each_request_its_connection_over_http2_and_http1() {
    let ca = ca();
    let server = Server::of(builder(&ca), &Gate::open(), |serve| serve).await;
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let answer = get(&client(orders(&ca), only(PAYMENTS)), server.address)
        .await
        .unwrap();
    assert_eq!((answer.version, &*answer.body), (Version::HTTP_2, ORDERS));
    let answer = foreign_get(&ca, Some(&issued), server.address)
        .await
        .unwrap();
    assert_eq!((answer.version, &*answer.body), (Version::HTTP_11, ORDERS));
}

#[tokio::test]
async fn half_a_header_is_closed_at_the_timeout() {
    let ca = ca();
    let server = Server::of(builder(&ca), &Gate::open(), |serve| {
        serve.with_header_read_timeout(Duration::from_millis(200))
    })
    .await;
    let mut slow = connect_http1(&ca, server.address).await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost: local")
        .await
        .unwrap();
    assert!(!rest(slow).await.contains("200 OK"));
    // One that sends nothing at all.
    let silent = connect_http1(&ca, server.address).await;
    assert_eq!(rest(silent).await, "");
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused_and_others_are_served() {
    let ca = ca();
    let server = Server::of(builder(&ca), &Gate::open(), |serve| {
        serve
            .with_max_header_bytes(8192)
            .with_max_headers(NonZeroUsize::new(3).unwrap())
    })
    .await;
    let mut stream = connect_http1(&ca, server.address).await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n",
        "x".repeat(10_000)
    );
    stream.write_all(long.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let mut stream = connect_http1(&ca, server.address).await;
    let many = b"GET / HTTP/1.1\r\nhost: x\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n";
    stream.write_all(many).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    answered(Http2::connect(&ca, server.address).await.get()).await;
}

#[tokio::test]
async fn a_connection_of_age_is_told_to_go_and_finishes_what_it_is_at() {
    let (ca, recorder, gate) = (ca(), Recorder::default(), Gate::closed());
    let server = Server::of(
        builder(&ca).with_observer(recorder.shared()),
        &gate,
        |serve| {
            serve
            .with_max_connection_age(Duration::from_millis(100))
            // Has no say over age.
            .with_drain_timeout(Duration::ZERO)
        },
    )
    .await;
    let old = Http2::connect(&ca, server.address).await;
    let request = old.get();
    gate.somebody_waits().await;
    assert_eq!(
        recorder.wait_for(1).await,
        [(CONNECTION_AGED, ORDERS.to_owned())]
    );
    gate.open.add_permits(1);
    answered(request).await;
    old.has_ended().await;
}

#[tokio::test]
async fn an_http1_connection_of_age_ends_after_the_response() {
    let (ca, recorder, gate) = (ca(), Recorder::default(), Gate::closed());
    let server = Server::of(
        builder(&ca).with_observer(recorder.shared()),
        &gate,
        |serve| serve.with_max_connection_age(Duration::from_millis(100)),
    )
    .await;
    let mut stream = connect_http1(&ca, server.address).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    gate.somebody_waits().await;
    assert_eq!(recorder.wait_for(1).await[0].0, CONNECTION_AGED);
    gate.open.add_permits(1);
    let answer = rest(stream).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with(ORDERS),
        "{answer}"
    );
}

#[tokio::test]
async fn a_stopped_server_frees_its_port_and_finishes_its_requests() {
    let (ca, gate) = (ca(), Gate::closed());
    let mut server = Server::of(builder(&ca), &gate, |serve| serve).await;
    let connection = Http2::connect(&ca, server.address).await;
    let request = connection.get();
    gate.somebody_waits().await;
    server.stop();
    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("closed");
    assert!(!server.task.is_finished());
    gate.open.add_permits(1);
    answered(request).await;
    connection.has_ended().await;
    server.has_ended().await;
}

#[tokio::test]
async fn what_does_not_finish_within_the_drain_limit_is_cut() {
    let (ca, recorder, gate) = (ca(), Recorder::default(), Gate::closed());
    let mut server = Server::of(
        builder(&ca).with_observer(recorder.shared()),
        &gate,
        |serve| serve.with_drain_timeout(Duration::from_millis(100)),
    )
    .await;
    let connection = Http2::connect(&ca, server.address).await;
    let request = connection.get();
    gate.somebody_waits().await;
    server.stop();
    assert!(timeout(PATIENCE, request).await.unwrap().unwrap().is_err());
    assert_eq!(recorder.codes(), [CONNECTION_CUT]);
    server.has_ended().await;
}

#[tokio::test]
async fn a_connection_ends_when_its_peer_has_expired() {
    let (ca, recorder, gate) = (ca(), Recorder::default(), Gate::closed());
    let clock = ManualClock::at(ca.reference_time());
    let listener = builder(&ca)
        .with_observer(recorder.shared())
        .with_clock(self::clock(&clock));
    let server = Server::of(listener, &gate, |serve| serve).await;
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let not_after = identity(&issued).not_after();
    // From here on, the connection waits for a second at most before it looks at the clock.
    clock.set_wall(not_after);
    let connection = Http2::connect(&ca, server.address).await;
    let request = connection.get();
    gate.somebody_waits().await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(recorder.wait_for(1).await[0].0, PEER_EXPIRED);
    gate.open.add_permits(1);
    answered(request).await;
    connection.has_ended().await;
}

struct Trusting {
    publisher: Publisher<Material>,
    issued: bartizan_testkit::IssuedCertificate,
    recorder: Recorder,
    server: Server,
}

/// A server whose trust can be changed.
async fn trusting(ca: &DevelopmentCa, gate: &Gate, end: EndConnection) -> Trusting {
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let publisher = Publisher::new(clock(&ManualClock::default()));
    publisher.publish(material(&issued, &bundles([ca])));
    let recorder = Recorder::default();
    let listener = MtlsListener::builder(publisher.published()).with_observer(recorder.shared());
    let server = Server::of(listener, gate, |serve| serve.on_revocation(end)).await;
    Trusting {
        publisher,
        issued,
        recorder,
        server,
    }
}

#[tokio::test]
async fn a_connection_ends_gracefully_when_its_peer_is_no_longer_believed() {
    let (ca, gate) = (ca(), Gate::closed());
    let server = trusting(&ca, &gate, EndConnection::Gracefully).await;
    let connection = Http2::connect(&ca, server.server.address).await;
    let request = connection.get();
    gate.somebody_waits().await;

    // Neither a new leaf of ours nor the same roots read anew concern the peer.
    let renewed = ca.workload("/ns/shop/sa/payments").unwrap();
    server
        .publisher
        .publish(material(&renewed, &bundles([&ca])));
    let partner = DevelopmentCa::new("partner.test").unwrap();
    server
        .publisher
        .publish(material(&renewed, &bundles([&ca, &partner])));
    let other = connection.get();
    gate.somebody_waits().await;
    gate.open.add_permits(1);
    assert_eq!(server.recorder.codes(), []);

    server
        .publisher
        .publish(material(&server.issued, &TrustBundles::new()));
    let told = server.recorder.wait_for(1).await;
    assert_eq!(told, [(TRUST_WITHDRAWN, ORDERS.to_owned())]);
    gate.open.add_permits(1);
    answered(request).await;
    answered(other).await;
    connection.has_ended().await;
}

#[tokio::test]
async fn a_connection_ends_at_once_if_that_was_asked_for() {
    let (ca, gate) = (ca(), Gate::closed());
    let server = trusting(&ca, &gate, EndConnection::AtOnce).await;
    let connection = Http2::connect(&ca, server.server.address).await;
    let request = connection.get();
    gate.somebody_waits().await;
    server
        .publisher
        .publish(material(&server.issued, &TrustBundles::new()));
    assert!(timeout(PATIENCE, request).await.unwrap().unwrap().is_err());
    assert_eq!(server.recorder.wait_for(1).await[0].0, TRUST_WITHDRAWN);
}

#[tokio::test]
async fn a_connection_goes_on_if_that_was_asked_for() {
    let (ca, gate) = (ca(), Gate::closed());
    let server = trusting(&ca, &gate, EndConnection::Never).await;
    let connection = Http2::connect(&ca, server.server.address).await;
    let first = connection.get();
    gate.somebody_waits().await;
    server
        .publisher
        .publish(material(&server.issued, &TrustBundles::new()));
    let second = connection.get();
    gate.somebody_waits().await;
    gate.open.add_permits(2);
    answered(first).await;
    answered(second).await;
    assert_eq!(server.recorder.codes(), []);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait() {
    let (ca, gate) = (ca(), Gate::closed());
    let server = Server::of(builder(&ca), &gate, |serve| {
        serve.with_max_connections(NonZeroUsize::new(1).unwrap())
    })
    .await;
    let first = Http2::connect(&ca, server.address).await;
    let request = first.get();
    gate.somebody_waits().await;
    let second = Http2::connect(&ca, server.address).await;
    let waiting = second.get();
    gate.open.add_permits(2);
    answered(request).await;
    assert!(!waiting.is_finished());
    assert_eq!(gate.entered.available_permits(), 0);
    drop(first);
    answered(waiting).await;
}

#[tokio::test]
async fn upgrades_pass() {
    let ca = ca();
    let listener = builder(&ca).bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let echo = service_fn(async |request: Request<Incoming>| {
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(request).await.expect("upgraded");
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "echo")
            .body(Empty::<Bytes>::new())
    });
    tokio::spawn(bartizan_mtls::serve(listener, echo).into_future());
    let mut stream = connect_http1(&ca, address).await;
    let ask = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello";
    stream.write_all(ask).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"hello") {
        let read = timeout(PATIENCE, stream.read_buf(&mut seen)).await.unwrap();
        assert_ne!(read.unwrap(), 0, "{}", String::from_utf8_lossy(&seen));
    }
    assert!(seen.starts_with(b"HTTP/1.1 101"));
}

#[tokio::test]
async fn serves_axum_and_tonic_services_as_they_are() {
    let ca = ca();
    let router = axum::Router::new()
        .route("/", axum::routing::get(async || "axum"))
        .layer(allow(ORDERS));
    let (_, health) = tonic_health::server::health_reporter();
    let routes = tonic::service::Routes::new(health);
    let grpc = routes.into_axum_router().layer(allow(ORDERS));
    let listener = builder(&ca).bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(bartizan_mtls::serve(listener, router.merge(grpc)).into_future());
    let answer = get(&client(orders(&ca), only(PAYMENTS)), address)
        .await
        .unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "axum"));
    let other = client(workload(&ca, "/other"), only(PAYMENTS));
    assert_eq!(
        get(&other, address).await.unwrap().status,
        StatusCode::FORBIDDEN
    );

    let (_, health) = tonic_health::server::health_reporter();
    let listener = builder(&ca).bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let routes = tonic::service::Routes::new(health);
    tokio::spawn(bartizan_mtls::serve(listener, routes).into_future());
    let connector = MtlsConnector::builder(Published::fixed(orders(&ca)), only(PAYMENTS))
        .require_http2()
        .build();
    let channel = tonic::transport::Endpoint::try_from(format!("http://{address}"))
        .unwrap()
        .connect_with_connector(connector)
        .await
        .unwrap();
    let request = tonic_health::pb::HealthCheckRequest::default();
    let answer = tonic_health::pb::health_client::HealthClient::new(channel)
        .check(request)
        .await
        .unwrap();
    assert_eq!(answer.into_inner().status, 1);
}
