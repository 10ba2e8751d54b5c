//! Mutual TLS beside bare tokio-rustls and bare hyper: handshakes, requests, memory.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench prints, and may panic"
)]

#[path = "support/flood.rs"]
mod flood;
#[path = "support/pki.rs"]
mod pki;
mod support;

use std::cell::RefCell;
use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use bartizan_benches::Comparison;
use bartizan_core::{Connection, Duty, GuardLayer, SecurityContext};
use bartizan_mtls::MtlsListener;
use bartizan_testkit::SigningAlgorithm;
use bartizan_testkit::tls::dangerous_client_config;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower::Layer as _;

use pki::{Pki, hello, port, serve_bare};
use support::{Bare, Open, connection, mint, mtls, request, send, token};

const IDLE: usize = 200;

async fn connect(connector: &TlsConnector, address: SocketAddr) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = "localhost".try_into().unwrap();
    connector.connect(name, tcp).await.unwrap()
}

async fn listener(pki: &Pki) -> MtlsListener {
    let builder = MtlsListener::builder(pki.material());
    builder.listen_on(port().await).unwrap()
}

/// Accepts for ever, and greets with a byte who is let in.
async fn greet_bare(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut tls = acceptor.accept(tcp).await.unwrap();
            let _ = tls.write_all(b"!").await;
            let _ = tls.flush().await;
        });
    }
}

async fn greet_ours(mut listener: MtlsListener) {
    while let Ok(mut stream) = listener.accept().await {
        tokio::spawn(async move {
            let _ = stream.write_all(b"!").await;
            let _ = stream.flush().await;
        });
    }
}

async fn is_greeted(connector: &TlsConnector, address: SocketAddr) -> u8 {
    connect(connector, address).await.read_u8().await.unwrap()
}

fn serve_ours(listener: MtlsListener) {
    let service = tower::service_fn(hello);
    tokio::spawn(bartizan_mtls::serve(listener, service).into_future());
}

type Http1 = hyper::client::conn::http1::SendRequest<Empty<Bytes>>;

async fn http1(pki: &Pki, address: SocketAddr) -> Http1 {
    let tls = connect(&pki.connector(false), address).await;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut Http1) -> usize {
    sender.ready().await.unwrap();
    let request = Request::get("/")
        .header("host", "localhost")
        .body(Empty::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .len()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn handshakes(pki: &Pki) {
    let runtime = runtime();
    let (bare, ours, resuming) = runtime.block_on(async {
        let bare = port().await;
        let ours = listener(pki).await;
        let resuming = MtlsListener::builder(pki.material());
        let resuming = resuming.allow_resumption(std::time::Duration::from_secs(3600));
        let resuming = resuming.listen_on(port().await).unwrap();
        let address = bare.local_addr().unwrap();
        let addresses = (address, ours.local_addr(), resuming.local_addr());
        tokio::spawn(greet_bare(bare, pki.bare()));
        tokio::spawn(greet_ours(ours));
        tokio::spawn(greet_ours(resuming));
        addresses
    });
    let connector = pki.connector(true);
    let greeted = |address| runtime.block_on(is_greeted(&connector, address));
    assert_eq!((greeted(bare), greeted(ours)), (b'!', b'!'));
    // Remembers what it is given.
    let returning = dangerous_client_config(&pki.ca, Some(&pki.client)).unwrap();
    let returning = TlsConnector::from(Arc::new(returning));
    let returns = || runtime.block_on(is_greeted(&returning, resuming));
    assert_eq!((returns(), returns()), (b'!', b'!'));
    let mut comparison = Comparison::new("Full mutual handshakes, both ends on one thread");
    comparison.case("tokio-rustls, WebPkiClientVerifier", || greeted(bare));
    comparison.case("MtlsListener", || greeted(ours));
    comparison.case("MtlsListener, the session taken up again", returns);
    for measured in comparison.run() {
        println!(
            "{}: {:.0} a second",
            measured.name,
            1e9 / measured.nanoseconds
        );
    }
}

fn requests(pki: &Pki) {
    let runtime = runtime();
    let (mut bare, mut ours) = runtime.block_on(async {
        let bare = port().await;
        let ours = listener(pki).await;
        let (bare_address, our_address) = (bare.local_addr().unwrap(), ours.local_addr());
        tokio::spawn(serve_bare(bare, pki.bare()));
        serve_ours(ours);
        (
            http1(pki, bare_address).await,
            http1(pki, our_address).await,
        )
    });
    let mut comparison =
        Comparison::new("GET of 1 KiB on a kept connection, both ends on one thread");
    comparison.case("hyper over tokio-rustls", || {
        runtime.block_on(ask(&mut bare))
    });
    comparison.case("bartizan_mtls::serve", || runtime.block_on(ask(&mut ours)));
    comparison.run();
}

fn peers() {
    let mint = mint(SigningAlgorithm::Es256);
    let token = format!("Bearer {}", token(&mint)).parse().unwrap();
    let connection = connection();
    let ready = || request(&token, &connection);

    let mut of_connection = http::Extensions::new();
    of_connection.insert(connection.clone());
    let mut layered = ready();
    layered.extensions_mut().insert(connection.clone());
    let context = {
        let seen = RefCell::new(None);
        let service = tower::service_fn(|request: Request<Empty<Bytes>>| {
            *seen.borrow_mut() = SecurityContext::of(request.extensions()).cloned();
            std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        });
        let runtime = runtime();
        runtime
            .block_on(tower::ServiceExt::oneshot(mtls().layer(service), layered))
            .unwrap();
        seen.into_inner().unwrap()
    };
    let mut of_context = http::Extensions::new();
    of_context.insert(context);
    let mut comparison = Comparison::new("Who is the peer?");
    comparison.case("nothing asked", || black_box(&of_context).len());
    comparison.case("from the security context", || {
        let context = SecurityContext::of(black_box(&of_context));
        context.and_then(SecurityContext::peer).is_some()
    });
    comparison.case("from the bare connection", || {
        let connection = Connection::of(black_box(&of_connection));
        connection.and_then(Connection::peer).is_some()
    });
    comparison.run();

    let mut bare = Bare;
    let mut open = GuardLayer::new(Open(Duty::new("open"))).layer(Bare);
    let mut peer = mtls().layer(Bare);
    let mut comparison = Comparison::new("MtlsLayer");
    comparison.case("bare service", || send(&mut bare, ready()).status());
    comparison.case("context, decision, no rule", || {
        send(&mut open, ready()).status()
    });
    comparison.case("context, MtlsLayer", || send(&mut peer, ready()).status());
    comparison.run();
}

/// Bytes that the server's thread holds for each idle connection, the client being elsewhere.
fn idle(pki: &Pki, http2: bool, begin: impl FnOnce() -> SocketAddr, runtime: &Runtime) -> i64 {
    let address = begin();
    let connector = pki.connector(true);
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let client = thread::spawn(move || {
        self::runtime().block_on(async {
            let mut kept = Vec::new();
            for _ in 0..IDLE {
                let mut tls = connect(&connector, address).await;
                if http2 {
                    let io = TokioIo::new(tls);
                    let executor = TokioExecutor::new();
                    let (mut sender, connection) =
                        hyper::client::conn::http2::handshake(executor, io)
                            .await
                            .unwrap();
                    tokio::spawn(connection);
                    let request = Request::get("https://localhost/").body(Empty::<Bytes>::new());
                    let response = sender.send_request(request.unwrap()).await.unwrap();
                    response.into_body().collect().await.unwrap();
                    kept.push((Some(sender), None));
                } else {
                    tls.read_u8().await.unwrap();
                    kept.push((None, Some(tls)));
                }
            }
            ready.send(()).unwrap();
            is_done.recv().unwrap();
        });
    });
    let held = allocation_counter::measure(|| runtime.block_on(is_ready).unwrap());
    done.send(()).unwrap();
    client.join().unwrap();
    held.bytes_current / i64::try_from(IDLE).unwrap()
}

fn memory(pki: &Pki) {
    println!(
        "\n### Memory of an idle connection, at the server\n\n| connection | bytes |\n|---|---:|"
    );
    let row = |name: &str, bytes: i64| println!("| {name} | {bytes} |");
    let keep_bare = |runtime: &Runtime| {
        runtime.block_on(async {
            let listener = port().await;
            let address = listener.local_addr().unwrap();
            let acceptor = pki.bare();
            tokio::spawn(async move {
                let mut kept = Vec::new();
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    let mut tls = acceptor.accept(tcp).await.unwrap();
                    tls.write_all(b"!").await.unwrap();
                    kept.push(tls);
                }
            });
            address
        })
    };
    let keep_ours = |runtime: &Runtime| {
        runtime.block_on(async {
            let mut listener = listener(pki).await;
            let address = listener.local_addr();
            tokio::spawn(async move {
                let mut kept = Vec::new();
                while let Ok(mut stream) = listener.accept().await {
                    stream.write_all(b"!").await.unwrap();
                    kept.push(stream);
                }
            });
            address
        })
    };
    let serve_bare = |runtime: &Runtime| {
        runtime.block_on(async {
            let listener = port().await;
            let address = listener.local_addr().unwrap();
            tokio::spawn(self::serve_bare(listener, pki.bare()));
            address
        })
    };
    let serve_ours = |runtime: &Runtime| {
        runtime.block_on(async {
            let listener = listener(pki).await;
            let address = listener.local_addr();
            self::serve_ours(listener);
            address
        })
    };
    let (one, two, three, four) = (runtime(), runtime(), runtime(), runtime());
    row(
        "tokio-rustls stream",
        idle(pki, false, || keep_bare(&one), &one),
    );
    row("MtlsStream", idle(pki, false, || keep_ours(&two), &two));
    row(
        "hyper HTTP/2 over tokio-rustls",
        idle(pki, true, || serve_bare(&three), &three),
    );
    row(
        "bartizan_mtls::serve, HTTP/2",
        idle(pki, true, || serve_ours(&four), &four),
    );
}

fn main() {
    let pki = Pki::new();
    memory(&pki);
    flood::measure(&pki);
    peers();
    requests(&pki);
    handshakes(&pki);
}
