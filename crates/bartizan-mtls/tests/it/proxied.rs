//! Connections behind a load balancer that speaks the PROXY protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Code, IpNetwork};
use bartizan_mtls::{
    HANDSHAKE_FAILED, HANDSHAKE_TIMEOUT, MtlsListener, MtlsStream, PROXY_PROTOCOL,
};
use bartizan_source::Published;
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::*;

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\x01\xbb";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

struct Behind {
    ca: DevelopmentCa,
    orders: IssuedCertificate,
    listener: MtlsListener,
    recorder: Recorder,
}

impl Behind {
    /// A listener that takes headers from this network.
    async fn balancer(network: &str) -> Self {
        Self::patient(network, PATIENCE).await
    }

    async fn patient(network: &str, limit: Duration) -> Self {
        let (ca, recorder) = (ca(), Recorder::default());
        let network: IpNetwork = network.parse().unwrap();
        let listener = MtlsListener::builder(Published::fixed(payments(&ca)))
            .allow_proxy_protocol([network])
            .with_handshake_timeout(limit)
            .with_observer(recorder.shared())
            .bind("127.0.0.1:0")
            .await
            .unwrap();
        let orders = ca.workload("/ns/shop/sa/orders").unwrap();
        Self {
            ca,
            orders,
            listener,
            recorder,
        }
    }

    /// Connects, sends `first` in the clear and then begins TLS.
    async fn connect(&self, first: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut tcp = TcpStream::connect(self.listener.local_addr()).await?;
        tcp.write_all(first).await?;
        let config = dangerous_client_config(&self.ca, Some(&self.orders)).unwrap();
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }

    async fn accepted(&mut self, first: &[u8]) -> (MtlsStream, SocketAddr) {
        let client = self.connect(first).await.expect("a handshake");
        let local = client.get_ref().0.local_addr().unwrap();
        let stream = timeout(PATIENCE, self.listener.accept()).await.unwrap();
        (stream.unwrap(), local)
    }
}

#[tokio::test]
async fn takes_the_address_from_the_header_and_the_peer_from_the_handshake() {
    for header in [V1, V2] {
        let mut behind = Behind::balancer("127.0.0.0/8").await;
        let (stream, _) = behind.accepted(header).await;
        let remote = stream.connection().remote();
        assert_eq!(remote, Some(([192, 0, 2, 1], 4711).into()));
        assert_eq!(stream.peer().spiffe_id().unwrap().as_str(), ORDERS);
    }
}

#[tokio::test]
async fn keeps_the_balancers_address_where_it_speaks_for_itself() {
    for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut behind = Behind::balancer("127.0.0.1/32").await;
        let (stream, local) = behind.accepted(header).await;
        assert_eq!(stream.connection().remote(), Some(local));
    }
}

async fn refused(network: &str, first: &[u8], expected: Code) {
    let behind = Behind::balancer(network).await;
    assert!(behind.connect(first).await.is_err());
    assert_eq!(behind.recorder.wait_for(1).await[0].0, expected);
}

#[tokio::test]
async fn requires_a_header_from_a_balancer() {
    refused("127.0.0.1/32", b"", PROXY_PROTOCOL).await;
    refused("127.0.0.1/32", b"PROXY TCP4 nobody\r\n", PROXY_PROTOCOL).await;
    refused("127.0.0.1/32", b"GET / HTTP/1.1\r\n\r\n", PROXY_PROTOCOL).await;
    // One header and no more.
    let two = [V1, V1].concat();
    refused("127.0.0.1/32", &two, HANDSHAKE_FAILED).await;
}

#[tokio::test]
async fn believes_no_header_of_anybody_else() {
    for header in [V1, V2] {
        refused("192.0.2.0/24", header, HANDSHAKE_FAILED).await;
    }
    let mut behind = Behind::balancer("192.0.2.0/24").await;
    let (stream, local) = behind.accepted(b"").await;
    assert_eq!(stream.connection().remote(), Some(local));
}

#[tokio::test]
async fn a_header_that_never_ends_takes_its_time_and_no_more() {
    let behind = Behind::patient("127.0.0.1/32", Duration::from_millis(50)).await;
    let mut tcp = TcpStream::connect(behind.listener.local_addr())
        .await
        .unwrap();
    tcp.write_all(&V2[..20]).await.unwrap();
    assert_eq!(behind.recorder.wait_for(1).await[0].0, HANDSHAKE_TIMEOUT);
}
