//! What a resumed session would let in (and does elsewhere), tried with clients that resume.
//!
//! rustls hands a resumed session the certificate of its first handshake and does not ask the
//! verifier. The clients here keep everything that they would need.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_mtls::{MtlsListener, RevocationLists, Roots, TrustBundles};
use bartizan_source::Publisher;
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate, ManualClock};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::*;

fn resuming(ca: &DevelopmentCa, certificate: &IssuedCertificate) -> TlsConnector {
    let config = dangerous_client_config(ca, Some(certificate)).unwrap();
    TlsConnector::from(Arc::new(config))
}

/// One request; the answer is the name of the peer.
async fn ask(connector: &TlsConnector, address: SocketAddr) -> io::Result<String> {
    let tcp = TcpStream::connect(address).await?;
    let name = "localhost".try_into().unwrap();
    let mut tls = connector.connect(name, tcp).await?;
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    tls.write_all(request).await?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await?;
    assert_eq!(tls.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    Ok(answer)
}

#[tokio::test]
async fn a_returning_client_is_verified_by_the_trust_of_the_day() {
    let ca = ca();
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let client = ca.workload("/ns/shop/sa/orders").unwrap();
    let publisher = Publisher::new(clock(&ManualClock::default()));
    publisher.publish(material(&issued, &bundles([&ca])));
    let address = serve(MtlsListener::builder(publisher.published()), allow(ORDERS)).await;
    let connector = resuming(&ca, &client);
    assert!(ask(&connector, address).await.unwrap().ends_with(ORDERS));

    publisher.publish(material(&issued, &TrustBundles::new()));
    assert!(ask(&connector, address).await.is_err());
    let list = ca.revoke([client.serial()], 1).unwrap();
    let roots = Roots::from_der([ca.root_der()])
        .unwrap()
        .with_revocation_lists(RevocationLists::from_der([&list]).unwrap());
    let revoking = TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots);
    publisher.publish(material(&issued, &revoking));
    assert!(ask(&connector, address).await.is_err());
    publisher.publish(material(&issued, &bundles([&ca])));
    assert!(ask(&connector, address).await.unwrap().ends_with(ORDERS));
}

#[tokio::test]
async fn a_returning_client_has_expired_when_its_certificate_has() {
    let ca = ca();
    let clock = ManualClock::at(ca.reference_time());
    let published = bartizan_source::Published::fixed(payments(&ca));
    let builder = MtlsListener::builder(published).with_clock(self::clock(&clock));
    let address = serve(builder, allow(ORDERS)).await;
    let client = ca.workload("/ns/shop/sa/orders").unwrap();
    let connector = resuming(&ca, &client);
    assert!(ask(&connector, address).await.is_ok());
    clock.set_wall(identity(&client).not_after() + Duration::from_secs(1));
    assert!(ask(&connector, address).await.is_err());
}
