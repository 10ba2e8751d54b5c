//! HTTP/2 clients that flood the server with what the protocol allows, beside good ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_core::Connection;
use bartizan_mtls::MtlsListener;
use bartizan_source::Published;
use bartizan_testkit::DevelopmentCa;
use bartizan_testkit::tls::dangerous_client_config;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET https://x/`, as HPACK has it: three of the static table and one literal.
const REQUEST: &[u8] = &[0x82, 0x87, 0x84, 0x41, 0x01, b'x'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A server, and how many requests have reached its service.
struct Flooded {
    ca: DevelopmentCa,
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Flooded {
    async fn new() -> Self {
        let ca = ca();
        let listener = MtlsListener::builder(Published::fixed(payments(&ca)));
        let listener = listener.bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let service = tower::service_fn(move |request: Request<Incoming>| {
            counter.fetch_add(1, Ordering::Relaxed);
            async move {
                let peer = Connection::of(request.extensions()).and_then(Connection::peer);
                // An attacker's requests wait for ever; others are answered.
                if peer.is_some_and(|peer| peer.to_string() != ORDERS) {
                    std::future::pending::<()>().await;
                }
                Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        tokio::spawn(bartizan_mtls::serve(listener, service).into_future());
        Self {
            ca,
            address,
            requests,
        }
    }

    /// A connection that has said that it speaks HTTP/2, and nothing else.
    async fn attacker(&self) -> TlsStream<TcpStream> {
        let issued = self.ca.workload("/attacker").unwrap();
        let mut config = dangerous_client_config(&self.ca, Some(&issued)).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut tls = connector.connect(name, tcp).await.unwrap();
        tls.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
            .await
            .unwrap();
        tls
    }

    async fn good_client_is_served(&self) {
        let good = client(orders(&self.ca), only(PAYMENTS));
        let answer = get(&good, self.address).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }

    /// Sends the same again and again until the server has had enough; good clients are served
    /// meanwhile. Gives the reason that the server named.
    async fn is_ended_by(&self, mut piece: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
        let (mut read, mut write) = tokio::io::split(self.attacker().await);
        let reading = tokio::spawn(async move {
            let mut seen = Vec::new();
            // A reset takes nothing back of what was read.
            let _ = read.read_to_end(&mut seen).await;
            reason(&seen)
        });
        let mut sent = 0;
        let flood = async {
            loop {
                let pieces: Vec<_> = (sent..sent + 100).flat_map(&mut piece).collect();
                sent += 100;
                if write.write_all(&pieces).await.is_err() || reading.is_finished() {
                    return;
                }
                let _ = write.flush().await;
            }
        };
        let good = async {
            for _ in 0..3 {
                self.good_client_is_served().await;
            }
        };
        timeout(PATIENCE, async { tokio::join!(flood, good) })
            .await
            .expect("an end");
        timeout(PATIENCE, reading).await.unwrap().unwrap()
    }

    /// Sends the same for as long as some good clients take to be served; the flood is not
    /// against the rules.
    async fn bears(&self, piece: &[u8]) {
        let (mut read, mut write) = tokio::io::split(self.attacker().await);
        let reading =
            tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
        let pieces = piece.repeat(1000);
        let flood = async {
            // Until it is cancelled, or the server has had enough after all.
            while write.write_all(&pieces).await.is_ok() {}
            std::future::pending::<()>().await;
        };
        let good = async {
            for _ in 0..10 {
                self.good_client_is_served().await;
            }
        };
        tokio::select! {
            () = flood => unreachable!("it never ends"),
            () = async { timeout(PATIENCE, good).await.expect("served in time") } => {}
        }
        reading.abort();
    }
}

/// The error code of the last GOAWAY frame.
fn reason(mut frames: &[u8]) -> Option<u32> {
    let mut reason = None;
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let payload = rest.get(..length)?;
        if *kind == GOAWAY {
            reason = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        frames = &rest[length..];
    }
    reason
}

/// CVE-2023-44487: requests that are taken back at once never count as open, so that no limit on
/// open ones holds them.
#[tokio::test]
async fn rapid_resets_end_their_own_connection() {
    let server = Flooded::new().await;
    let reason = server
        .is_ended_by(|number| {
            let stream = 2 * number + 1;
            let request = frame(HEADERS, END_STREAM | END_HEADERS, stream, REQUEST);
            let cancel = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [request, cancel].concat()
        })
        .await;
    // ENHANCE_YOUR_CALM, if it got through.
    assert!(matches!(reason, None | Some(11)), "{reason:?}");
    // What came before the end did not go unnoticed, and did not go on for long.
    let reached = server.requests.load(Ordering::Relaxed);
    assert!(reached < 10_000, "{reached}");
}

/// As CVE-2023-44487, where it is the server that is made to reset.
#[tokio::test]
async fn requests_that_the_server_has_to_reset_end_their_own_connection() {
    let server = Flooded::new().await;
    let reason = server
        .is_ended_by(|number| {
            let stream = 2 * number + 1;
            let request = frame(HEADERS, END_HEADERS, stream, REQUEST);
            // An increment of nothing is an error of the stream (RFC 9113 §6.9).
            let error = frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes());
            [request, error].concat()
        })
        .await;
    assert!(matches!(reason, None | Some(11) | Some(1)), "{reason:?}");
}

/// CVE-2024-27316 and its kin: a head without an end.
#[tokio::test]
async fn continuations_without_an_end_end_their_own_connection() {
    let server = Flooded::new().await;
    let mut begun = false;
    let reason = server
        .is_ended_by(|_| {
            // A literal field, not to be remembered: `a: x…`.
            let mut field = vec![0x00, 0x01, b'a', 0x7f, 0x81, 0x1e];
            field.resize(field.len() + 4000, b'x');
            let kind = if begun { CONTINUATION } else { HEADERS };
            let block = if begun { field } else { REQUEST.to_vec() };
            begun = true;
            frame(kind, 0, 1, &block)
        })
        .await;
    assert!(matches!(reason, None | Some(1 | 11)), "{reason:?}");
    let others = server.requests.load(Ordering::Relaxed);
    assert_eq!(others, 3, "the good clients' and no other");
}

#[tokio::test]
async fn empty_continuations_end_their_own_connection() {
    let server = Flooded::new().await;
    let mut begun = false;
    let reason = server
        .is_ended_by(|_| {
            let kind = if begun { CONTINUATION } else { HEADERS };
            begun = true;
            frame(kind, 0, 1, &[])
        })
        .await;
    assert!(matches!(reason, None | Some(1 | 11)), "{reason:?}");
}

/// More requests at once than are allowed are refused one by one (RFC 9113 §5.1.2).
#[tokio::test]
async fn requests_beyond_the_limit_do_not_reach_the_service() {
    let server = Flooded::new().await;
    let mut attacker = server.attacker().await;
    for number in 0..400 {
        let request = frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, REQUEST);
        // The server may have had enough before the last.
        if attacker.write_all(&request).await.is_err() {
            break;
        }
    }
    let _ = attacker.flush().await;
    for _ in 0..3 {
        server.good_client_is_served().await;
    }
    let reached = server.requests.load(Ordering::Relaxed);
    assert!(reached <= 200 + 3, "{reached}");
}

/// Each has to be answered, so that they cannot be refused; the answers are what holds them up
/// (CVE-2019-9512, CVE-2019-9515). The attacker reads them here, which is the fastest flood.
#[tokio::test]
async fn pings_and_settings_delay_nobody() {
    let server = Flooded::new().await;
    server.bears(&frame(PING, 0, 0, &[7; 8])).await;
    server.bears(&frame(SETTINGS, 0, 0, &[])).await;
    server
        .bears(&frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]))
        .await;
}

/// An attacker who does not read the answers is not read from either, beyond what fits into the
/// buffers on the way: nothing piles up.
#[tokio::test]
async fn pings_of_who_does_not_read_are_not_taken_for_ever() {
    let server = Flooded::new().await;
    let attacker = server.attacker().await;
    let (_unread, mut write) = tokio::io::split(attacker);
    let pieces = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let mut sent = 0;
    // Once it cannot be written for as long as ten good clients take, it is not taken.
    loop {
        let good = async {
            for _ in 0..10 {
                server.good_client_is_served().await;
            }
        };
        tokio::select! {
            biased;
            written = write.write_all(&pieces) => {
                sent += pieces.len();
                assert!(sent < 256 << 20, "everything is taken");
                if written.is_err() {
                    return;
                }
            }
            () = good => return,
        }
    }
}
