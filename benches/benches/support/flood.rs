//! Clients that connect and never go on, and one that measures what that does to others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bartizan_testkit::DevelopmentCa;
use bartizan_testkit::tls::dangerous_client_config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How far a client of the flood goes before it stops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goes {
    /// No further than TCP.
    Nowhere,
    /// Half a ClientHello.
    Halfway,
    /// A whole one, which the server answers at the cost of a signature.
    Hello,
}

/// From how many addresses a flood comes. Loopback has more.
const ADDRESSES: u32 = 250;

/// A flood that goes on until this is dropped.
pub(crate) struct Flood {
    _stop: oneshot::Sender<()>,
}

/// Begins a flood in a thread of its own, and waits until all of it is there. Whoever the server
/// turns away comes back, a thousand a second.
pub(crate) fn flood(address: SocketAddr, clients: &[(Goes, u32)]) -> Flood {
    let hello: Arc<[u8]> = hello().into();
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

fn hello() -> Vec<u8> {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let config = dangerous_client_config(&ca, None).unwrap();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
