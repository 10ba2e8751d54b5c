//! Clients that connect and never go on, and one that measures what that does to others.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bartizan_mtls::MtlsListener;
use bartizan_testkit::DevelopmentCa;
use bartizan_testkit::tls::dangerous_client_config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::pki::{Pki, hello, port};
use crate::{ask, http1, runtime};

/// How far a client of the flood goes before it stops.
#[derive(Clone, Copy, Debug)]
enum Goes {
    /// No further than TCP.
    Nowhere,
    /// Half a ClientHello.
    Halfway,
    /// A whole one, which the server answers at the cost of a signature.
    Hello,
}

/// From how many addresses a flood comes. Loopback has more.
const ADDRESSES: u32 = 250;

/// A server in a thread of its own.
fn server(pki: &Pki) -> SocketAddr {
    let (material, (send, receive)) = (pki.material(), std::sync::mpsc::channel());
    thread::spawn(move || {
        runtime().block_on(async {
            let builder = MtlsListener::builder(material)
                // Eight times as many may be silent, and the flood is more than that.
                .with_max_handshakes(NonZeroUsize::new(512).unwrap());
            let listener = builder.listen_on(port().await).unwrap();
            send.send(listener.local_addr()).unwrap();
            let service = tower::service_fn(hello);
            bartizan_mtls::serve(listener, service).await.unwrap();
        });
    });
    receive.recv().unwrap()
}

/// How long a good client takes for a full handshake and a request, in microseconds.
fn good(runtime: &Runtime, pki: &Pki, address: SocketAddr) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    let begun = std::time::Instant::now();
    let length = runtime.block_on(async { ask(&mut http1(pki, address).await).await });
    assert_eq!(length, 1024);
    begun.elapsed().as_secs_f64() * 1e6
}

/// Prints how good clients fare beside floods of three kinds.
pub(crate) fn measure(pki: &Pki) {
    println!(
        "\n### Full handshake and a request while others flood, at most 512 handshakes at once\n\n\
         | flood | p50 us | p99 us | p50 beside a quiet server | p99 |\n|---|---:|---:|---:|---:|"
    );
    let runtime = runtime();
    for (name, clients) in [
        (
            "6,000 silent, a thousand more a second",
            &[(Goes::Nowhere, 6000)][..],
        ),
        ("6,000 with half a ClientHello", &[(Goes::Halfway, 6000)]),
        (
            "2,000 of each and 450 with a whole one",
            &[
                (Goes::Nowhere, 2000),
                (Goes::Halfway, 2000),
                (Goes::Hello, 450),
            ],
        ),
    ] {
        let (quiet, flooded) = (server(pki), server(pki));
        let _flood = flood(flooded, clients);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for _ in 0..1000 {
            one.push(good(&runtime, pki, quiet));
            other.push(good(&runtime, pki, flooded));
        }
        one.sort_by(f64::total_cmp);
        other.sort_by(f64::total_cmp);
        let (p50, p99) = (one.len() / 2, one.len() * 99 / 100);
        println!(
            "| {name} | {:.0} | {:.0} | {:.2} | {:.2} |",
            other[p50],
            other[p99],
            other[p50] / one[p50],
            other[p99] / one[p99]
        );
    }
}

/// A flood that goes on until this is dropped.
struct Flood {
    _stop: oneshot::Sender<()>,
}

/// Begins a flood in a thread of its own, and waits until all of it is there. Whoever the server
/// turns away comes back, a thousand a second.
fn flood(address: SocketAddr, clients: &[(Goes, u32)]) -> Flood {
    let hello: Arc<[u8]> = client_hello().into();
    let clients = clients.to_vec();
    let all: u32 = clients.iter().map(|(_, count)| count).sum();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pace = interval(Duration::from_millis(1));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let pace = Arc::new(Mutex::new(pace));
            let there = Arc::new(Semaphore::new(0));
            let kinds = clients.into_iter();
            let kinds = kinds.flat_map(|(goes, count)| (0..count).map(move |_| goes));
            for (number, goes) in (0..).zip(kinds) {
                let client = Client {
                    address,
                    goes,
                    from: Ipv4Addr::from(0x7f00_0102 + number % ADDRESSES),
                    hello: Arc::clone(&hello),
                    pace: Arc::clone(&pace),
                    there: Arc::clone(&there),
                };
                tokio::spawn(client.run());
            }
            there.acquire_many(all).await.unwrap().forget();
            ready.send(()).unwrap();
            // An error says that it was dropped. The runtime takes all clients with it.
            let _ = stopped.await;
        });
    });
    is_ready.recv().unwrap();
    Flood { _stop: stop }
}

struct Client {
    address: SocketAddr,
    goes: Goes,
    from: Ipv4Addr,
    hello: Arc<[u8]>,
    pace: Arc<Mutex<Interval>>,
    there: Arc<Semaphore>,
}

impl Client {
    async fn run(self) {
        loop {
            self.pace.lock().await.tick().await;
            // Out of ports or sockets: later.
            let Ok(mut tcp) = self.connect().await else {
                continue;
            };
            let sent = match self.goes {
                Goes::Nowhere => &[],
                Goes::Halfway => &self.hello[..self.hello.len() / 2],
                Goes::Hello => &self.hello[..],
            };
            let _ = tcp.write_all(sent).await;
            self.there.add_permits(1);
            while tcp.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
        }
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        socket.connect(self.address).await
    }
}

fn client_hello() -> Vec<u8> {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let config = dangerous_client_config(&ca, None).unwrap();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
