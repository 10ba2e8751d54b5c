//! Connections that are kept, and what the server's thread holds for each; and crowds of them that
//! come and go.

use std::any::Any;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use allocation_counter::measure;
use bartizan::Stack;
use bartizan_authz::{AuthzLayer, Callers, Policy as Rules, Rule};
use bartizan_core::SystemClock;
use bartizan_jwt::{JwtConfig, JwtLayer, KeySet, Rules as TokenRules};
use bartizan_mtls::{MtlsLayer, MtlsListener};
use bartizan_ratelimit::{Key, Policy, Rate, RateLimitConfig, RateLimitLayer};
use bartizan_testkit::{SigningAlgorithm, TokenMint};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tower::Layer as _;

use crate::pki::{Pki, hello, port, serve_bare};
use crate::support::ISSUER;
use crate::{RESIDENT_SLACK, SLACK, held, resident, stated};

/// How many connections come before it is counted, so that what a server has once is there.
const FIRST: u32 = 20;

/// How many connections are then kept at once.
const IDLE: u32 = 200;

/// How many handshakes the server of the crowd allows; eight times as many may be silent.
const HANDSHAKES: usize = 64;

/// How many silent clients the crowd has.
const CROWD: u32 = 3_000;

/// What a silent client may take: 4.5 KiB, as the listener says where it bounds their number.
const SILENT: i64 = 4_608;

/// From how many addresses clients come. Loopback has more.
const ADDRESSES: u32 = 250;

/// What clients do before they fall silent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Client {
    /// One request, over HTTP/1.1.
    Http1,
    /// One request, over HTTP/2.
    Http2,
    /// Nothing at all.
    Silent,
}

/// What clients are told.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// So many more come, and stay.
    Come(Client, u32),
    /// All go.
    Leave,
}

/// Prints bytes for each kept connection: bare, with our listener and server, and with the whole
/// stack; and what is left of a crowd.
pub(crate) fn rows() {
    let pki = Pki::new();
    let mint = TokenMint::new(ISSUER, SigningAlgorithm::Es256, SystemClock).unwrap();
    let day = Duration::from_secs(86_400);
    let token = mint
        .token()
        .audience("orders")
        .scope("orders:read")
        .expires_in(day);
    let bearer = format!("Bearer {}", token.sign().unwrap());
    let begin = |serve: &dyn Fn(&Runtime) -> SocketAddr| Scene::new(&pki, &bearer, serve);
    for client in [Client::Http1, Client::Http2] {
        let row = |what: &str, serve: &dyn Fn(&Runtime) -> SocketAddr| {
            let what = format!("{client:?}, idle after a request: {what}");
            stated(&what, begin(serve).each(client));
        };
        row("hyper over tokio-rustls", &|runtime| {
            serve_without_us(&pki, runtime)
        });
        row("`bartizan_mtls::serve`", &|runtime| {
            serve_ours(&pki, None, runtime)
        });
        row("the same, and the stack", &|runtime| {
            serve_ours(&pki, Some(stack(&mint)), runtime)
        });
    }
    let scene = begin(&|runtime| serve_ours(&pki, None, runtime));
    held(
        "a client that says nothing",
        scene.each(Client::Silent),
        SILENT,
    );
    drop(scene);
    crowd(&begin(&|runtime| {
        serve_ours(&pki, Some(stack(&mint)), runtime)
    }));
}

/// A crowd that a server has no room for, and one that comes again and again.
fn crowd(scene: &Scene) {
    // The same once before, so that memory of the clients in this process counts for nothing.
    let come_and_go = |client, count| {
        scene.held_after(Order::Come(client, count)) + scene.held_after(Order::Leave)
    };
    come_and_go(Client::Silent, CROWD);
    come_and_go(Client::Http2, IDLE);
    let first = resident();
    let room = i64::try_from(HANDSHAKES * 8).unwrap();
    let silent = scene.held_after(Order::Come(Client::Silent, CROWD));
    held(
        "3,000 silent clients, where 512 have room",
        silent,
        room * SILENT,
    );
    let left = silent + scene.held_after(Order::Leave);
    held("kept when they have gone", left, SLACK);
    let kept = (0..10).map(|_| come_and_go(Client::Http2, IDLE)).sum();
    held("kept of 2,000 connections with a request each", kept, SLACK);
    held("resident, after them", resident() - first, RESIDENT_SLACK);
}

/// A server on this thread, and its clients in another.
struct Scene {
    server: Runtime,
    orders: Option<Sender<(Order, oneshot::Sender<()>)>>,
    clients: Option<JoinHandle<()>>,
}

impl Scene {
    fn new(pki: &Pki, bearer: &str, serve: &dyn Fn(&Runtime) -> SocketAddr) -> Self {
        let server = runtime();
        let address = serve(&server);
        let clients = Clients {
            address,
            http1: pki.connector(false),
            http2: pki.connector(true),
            bearer: bearer.to_owned(),
        };
        let (orders, receive) = channel::<(Order, oneshot::Sender<()>)>();
        let clients = thread::spawn(move || {
            let (runtime, mut kept) = (runtime(), Vec::new());
            for (order, done) in receive {
                runtime.block_on(clients.obey(order, &mut kept));
                done.send(()).unwrap();
            }
        });
        Self {
            server,
            orders: Some(orders),
            clients: Some(clients),
        }
    }

    /// Bytes that the server's thread holds for each connection of this kind.
    fn each(&self, client: Client) -> i64 {
        self.held_after(Order::Come(client, FIRST));
        self.held_after(Order::Come(client, IDLE)) / i64::from(IDLE)
    }

    /// Bytes that the server's thread then holds more than before.
    fn held_after(&self, order: Order) -> i64 {
        let (done, is_done) = oneshot::channel();
        self.orders.as_ref().unwrap().send((order, done)).unwrap();
        measure(|| self.server.block_on(is_done).unwrap()).bytes_current
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(clients) = self.clients.take() {
            let _ = clients.join();
        }
    }
}

struct Clients {
    address: SocketAddr,
    http1: TlsConnector,
    http2: TlsConnector,
    bearer: String,
}

impl Clients {
    async fn obey(&self, order: Order, kept: &mut Vec<Kept>) {
        match order {
            Order::Come(client, count) => {
                for number in 0..count {
                    kept.push(self.come(client, number).await);
                }
            }
            Order::Leave => kept.clear(),
        }
        // What is under way arrives, also at a server that does not answer.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    async fn come(&self, client: Client, number: u32) -> Kept {
        let tcp = self.connect(number).await;
        let tls = match client {
            Client::Http1 => &self.http1,
            Client::Http2 => &self.http2,
            Client::Silent => return Box::new(tcp),
        };
        let name = "localhost".try_into().unwrap();
        let io = TokioIo::new(tls.connect(name, tcp).await.unwrap());
        if client == Client::Http2 {
            let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
            let (mut sender, connection) = shaken.unwrap();
            tokio::spawn(connection);
            let request = self.request("https://localhost/");
            is_answered(sender.send_request(request).await.unwrap()).await;
            Box::new(sender)
        } else {
            let shaken = hyper::client::conn::http1::handshake(io).await;
            let (mut sender, connection) = shaken.unwrap();
            tokio::spawn(connection);
            let request = self.request("/");
            is_answered(sender.send_request(request).await.unwrap()).await;
            Box::new(sender)
        }
    }

    async fn connect(&self, number: u32) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        let from = Ipv4Addr::from(0x7f00_0102 + number % ADDRESSES);
        socket.bind((from, 0).into()).unwrap();
        let tcp = socket.connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp
    }

    fn request(&self, uri: &str) -> Request<Empty<Bytes>> {
        let request = Request::get(uri).header("authorization", &self.bearer);
        let request = match uri {
            "/" => request.header("host", "localhost"),
            _ => request,
        };
        request.body(Empty::new()).unwrap()
    }
}

/// Whatever has to be kept so that a connection is.
type Kept = Box<dyn Any>;

async fn is_answered(response: Response<Incoming>) {
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes().len(), 1024);
}

fn limit(key: Key) -> RateLimitLayer {
    let config = RateLimitConfig::builder(key);
    let config = config.add_policy(Policy::new("burst", Rate::per_second(1_000_000)));
    RateLimitLayer::new(config.build().unwrap())
}

fn stack(mint: &TokenMint) -> Stack {
    let peers = MtlsLayer::builder().allow_trust_domain("example.org".parse().unwrap());
    let keys = KeySet::from_json(&mint.jwks().to_string()).unwrap();
    let tokens = TokenRules::builder(ISSUER, "orders").build().unwrap();
    let tokens = JwtConfig::builder(tokens).with_keys(keys);
    let readers = Rule::allow("readers").from(Callers::anybody().scope("orders:read"));
    let rules = Rules::builder().add(readers).build().unwrap();
    Stack::new()
        .with_address_limit(&limit(Key::address()))
        .with_peers(&peers.build().unwrap())
        .with_peer_limit(&limit(Key::peer()))
        .with_tokens(&JwtLayer::start(tokens.build().unwrap()).unwrap())
        .with_principal_limit(&limit(Key::subject()))
        .with_rules(&AuthzLayer::builder().with_policy(rules).build().unwrap())
}

fn serve_without_us(pki: &Pki, runtime: &Runtime) -> SocketAddr {
    let (listener, acceptor) = (runtime.block_on(port()), pki.bare());
    let address = listener.local_addr().unwrap();
    runtime.spawn(serve_bare(listener, acceptor));
    address
}

fn serve_ours(pki: &Pki, stack: Option<Stack>, runtime: &Runtime) -> SocketAddr {
    let handshakes = NonZeroUsize::new(HANDSHAKES).unwrap();
    let builder = MtlsListener::builder(pki.material()).with_max_handshakes(handshakes);
    let listener = runtime.block_on(async { builder.listen_on(port().await).unwrap() });
    let address = listener.local_addr();
    let service = tower::service_fn(hello);
    match stack {
        Some(stack) => {
            let served = bartizan_mtls::serve(listener, stack.layer(service));
            runtime.spawn(served.into_future());
        }
        None => {
            runtime.spawn(bartizan_mtls::serve(listener, service).into_future());
        }
    }
    address
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
