//! A hundred rotations of leaf and roots while requests are under way, and none of them is lost.
//!
//! The clients do not retry: they hold HTTP/2 connections themselves, and a request that fails fails
//! the test.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bartizan_mtls::{
    Material, MtlsConnector, MtlsListener, Roots, TRUST_WITHDRAWN, TrustBundles, serve,
};
use bartizan_source::Publisher;
use bartizan_testkit::{DevelopmentCa, ManualClock};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::service_fn;

use crate::support::*;

const ROTATIONS: u64 = 100;
const CONNECTIONS: usize = 8;
const REQUESTS: usize = 200;

type Sender = SendRequest<Empty<Bytes>>;

/// Both ends' material, and the authorities that are trusted at the moment: the newest last.
struct Pki {
    server: Publisher<Material>,
    client: Publisher<Material>,
    authorities: Vec<DevelopmentCa>,
}

impl Pki {
    fn new() -> Self {
        let publisher = || Publisher::new(clock(&ManualClock::default()));
        let mut pki = Self {
            server: publisher(),
            client: publisher(),
            authorities: vec![ca()],
        };
        pki.rotate();
        pki
    }

    /// New authority, new leaves, and trust in the newest two authorities. Gives the serial number
    /// of the server's new leaf.
    fn rotate(&mut self) -> Vec<u8> {
        self.authorities.push(ca());
        let [.., before, issuer] = &self.authorities[..] else {
            unreachable!("there were two after the first rotation")
        };
        let roots = Roots::from_der([before.root_der(), issuer.root_der()]).unwrap();
        let trusted = TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots);
        let served = issuer.workload("/ns/shop/sa/payments").unwrap();
        let calling = issuer.workload("/ns/shop/sa/orders").unwrap();
        // Whichever end comes first, the other believes it: that is what two authorities are for.
        self.server.publish(material(&served, &trusted));
        self.client.publish(material(&calling, &trusted));
        served.serial().to_vec()
    }
}

/// A connection, which must show this serial number.
async fn connect(connector: &MtlsConnector, address: SocketAddr, serial: &[u8]) -> Sender {
    let uri = format!("https://{address}/").parse().unwrap();
    let stream = connector.connect(&uri).await.unwrap();
    assert_eq!(stream.peer().serial(), serial);
    let io = TokioIo::new(stream);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_in_a_hundred_rotations() {
    let mut pki = Pki::new();
    let serial = pki.rotate();
    let (round, rounds) = watch::channel(0_u64);
    let inside = Arc::new(Semaphore::new(0));

    // Each request waits for the rotation after the one that it came in.
    let entered = Arc::clone(&inside);
    let service = service_fn(move |_: Request<Incoming>| {
        let (entered, mut rounds) = (Arc::clone(&entered), rounds.clone());
        async move {
            let came_in = *rounds.borrow();
            entered.add_permits(1);
            rounds.wait_for(|round| *round > came_in).await.unwrap();
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let recorder = Recorder::default();
    let listener = MtlsListener::builder(pki.server.published())
        .with_observer(recorder.shared())
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = listener.local_addr();
    tokio::spawn(serve(listener, service).into_future());

    let connector = MtlsConnector::new(pki.client.published(), only(PAYMENTS));
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        senders.push(Mutex::new(connect(&connector, address, &serial).await));
    }
    let senders = Arc::new(senders);
    let mut clients = JoinSet::new();
    for number in 0..REQUESTS {
        let senders = Arc::clone(&senders);
        let rounds = round.subscribe();
        clients.spawn(async move {
            let mut answered = 0_u64;
            while *rounds.borrow() < ROTATIONS {
                let mut sender = senders[number % CONNECTIONS].lock().unwrap().clone();
                let request = Request::get("https://localhost/")
                    .body(Empty::new())
                    .unwrap();
                let response = sender.send_request(request).await.expect("not lost");
                assert_eq!(response.status(), StatusCode::OK);
                answered += 1;
            }
            answered
        });
    }

    let old_leaf = pki.authorities[0].workload("/ns/shop/sa/orders").unwrap();
    for rotation in 1..=ROTATIONS {
        // All requests are under way.
        let all = u32::try_from(REQUESTS).unwrap();
        let all = timeout(PATIENCE, inside.acquire_many(all)).await;
        all.expect("all requests come in").unwrap().forget();
        let serial = pki.rotate();
        for (number, sender) in senders.iter().enumerate() {
            // Half of the connections are renewed at each rotation. The others are kept until
            // their authority is gone, so that they are told to go with requests on them.
            if number % 2 == 0 || rotation % 2 == 0 {
                let renewed = connect(&connector, address, &serial).await;
                *sender.lock().unwrap() = renewed;
            }
        }
        round.send_replace(rotation);
    }
    let mut answered = 0;
    while let Some(client) = timeout(PATIENCE, clients.join_next())
        .await
        .expect("an end")
    {
        answered += client.expect("no request was lost");
    }
    assert_eq!(answered, ROTATIONS * REQUESTS as u64);

    // Roots did rotate, and connections that rested on old ones were told to go.
    let newest = pki.authorities.last().unwrap();
    let refused = foreign_get(newest, Some(&old_leaf), address).await;
    assert!(refused.is_err());
    let told = recorder.codes();
    let told = told.iter().filter(|code| **code == TRUST_WITHDRAWN).count();
    assert!(
        told >= usize::try_from(ROTATIONS / 2 - 1).unwrap() * CONNECTIONS / 2,
        "{told}"
    );
}
