//! What a resumed session would let in (and does elsewhere), tried with clients that resume.
//!
//! rustls hands a resumed session the certificate of its first handshake and does not ask the
//! verifier. The clients here keep everything that they would need.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::Code;
use bartizan_mtls::{
    EXPIRED, Material, MtlsListener, MtlsListenerBuilder, REVOKED, RevocationLists, Roots,
    TrustBundles, UNKNOWN_AUTHORITY,
};
use bartizan_source::Publisher;
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate, ManualClock};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, SignatureScheme};
use rustls_pki_types::CertificateRevocationListDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::*;

fn resuming(ca: &DevelopmentCa, certificate: &IssuedCertificate) -> TlsConnector {
    let config = dangerous_client_config(ca, Some(certificate)).unwrap();
    TlsConnector::from(Arc::new(config))
}

/// One request, without resumption; the answer is the name of the peer.
async fn ask(connector: &TlsConnector, address: SocketAddr) -> io::Result<String> {
    let (kind, answer) = exchange(connector, address).await?;
    assert_eq!(kind, HandshakeKind::Full);
    Ok(answer)
}

/// One request: the kind of handshake, and the answer, which ends with the name of the peer.
async fn exchange(
    connector: &TlsConnector,
    address: SocketAddr,
) -> io::Result<(HandshakeKind, String)> {
    let tcp = TcpStream::connect(address).await?;
    let name = "localhost".try_into().unwrap();
    let mut tls = connector.connect(name, tcp).await?;
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    tls.write_all(request).await?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await?;
    let kind = tls.get_ref().1.handshake_kind().expect("a handshake");
    Ok((kind, answer))
}

/// The bundle of an authority, with this list.
fn revoking(ca: &DevelopmentCa, list: &CertificateRevocationListDer<'_>) -> TrustBundles {
    let roots = Roots::from_der([ca.root_der()])
        .unwrap()
        .with_revocation_lists(RevocationLists::from_der([list]).unwrap());
    TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots)
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
    publisher.publish(material(&issued, &revoking(&ca, &list)));
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

/// A listener that lets sessions be taken up again, with everything that a test may change.
struct Resuming {
    ca: DevelopmentCa,
    clock: ManualClock,
    issued: IssuedCertificate,
    publisher: Publisher<Material>,
    recorder: Recorder,
    address: SocketAddr,
}

const LIFETIME: Duration = Duration::from_secs(60);

impl Resuming {
    async fn new() -> Self {
        Self::with(|builder| builder.allow_resumption(LIFETIME)).await
    }

    async fn with(change: impl FnOnce(MtlsListenerBuilder) -> MtlsListenerBuilder) -> Self {
        let ca = ca();
        let clock = ManualClock::at(ca.reference_time());
        let issued = ca.workload("/ns/shop/sa/payments").unwrap();
        let publisher = Publisher::new(self::clock(&clock));
        publisher.publish(material(&issued, &bundles([&ca])));
        let recorder = Recorder::default();
        let builder = MtlsListener::builder(publisher.published())
            .with_clock(self::clock(&clock))
            .with_observer(recorder.shared());
        let address = serve(change(builder), allow("spiffe://example.org/**")).await;
        Self {
            ca,
            clock,
            issued,
            publisher,
            recorder,
            address,
        }
    }

    fn client(&self, path: &str) -> TlsConnector {
        resuming(&self.ca, &self.ca.workload(path).unwrap())
    }

    /// One request: the kind of handshake, and the answer.
    async fn ask(&self, connector: &TlsConnector) -> io::Result<(HandshakeKind, String)> {
        exchange(connector, self.address).await
    }

    async fn is_served(&self, connector: &TlsConnector, kind: HandshakeKind, name: &str) {
        let (seen, answer) = self.ask(connector).await.unwrap();
        assert!(seen == kind && answer.ends_with(name), "{seen:?} {answer}");
    }

    /// Is not let in, whatever the client tries; for this reason.
    async fn is_refused(&self, connector: &TlsConnector, code: Code) {
        let before = self.recorder.codes().len();
        assert!(
            self.ask(connector)
                .await
                .map_or(true, |(_, answer)| answer.is_empty())
        );
        let codes = self.recorder.wait_for(before + 1).await;
        assert_eq!(codes[before].0, code, "{codes:?}");
    }
}

#[tokio::test]
async fn where_it_is_allowed_a_session_is_taken_up_again() {
    let server = Resuming::new().await;
    let client = server.client("/ns/shop/sa/orders");
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
    for _ in 0..3 {
        server
            .is_served(&client, HandshakeKind::Resumed, ORDERS)
            .await;
    }
    let how: Vec<_> = server
        .recorder
        .let_in()
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    let resumed = bartizan_mtls::HANDSHAKE_RESUMED;
    assert_eq!(
        how,
        [
            bartizan_mtls::HANDSHAKE_COMPLETED,
            resumed,
            resumed,
            resumed
        ]
    );
}

#[tokio::test]
async fn a_session_does_not_outlive_its_time() {
    let server = Resuming::new().await;
    let client = server.client("/ns/shop/sa/orders");
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
    server.clock.advance(LIFETIME - Duration::from_secs(1));
    server
        .is_served(&client, HandshakeKind::Resumed, ORDERS)
        .await;
    server.clock.advance(LIFETIME);
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
}

#[tokio::test]
async fn a_reload_drops_all_sessions() {
    let server = Resuming::new().await;
    let client = server.client("/ns/shop/sa/orders");
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
    server
        .publisher
        .publish(material(&server.issued, &bundles([&server.ca])));
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
}

#[tokio::test]
async fn a_session_of_withdrawn_trust_lets_nobody_in() {
    let server = Resuming::new().await;
    let client = server.client("/ns/shop/sa/orders");
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
    server
        .publisher
        .publish(material(&server.issued, &TrustBundles::new()));
    server.is_refused(&client, UNKNOWN_AUTHORITY).await;
}

#[tokio::test]
async fn a_session_of_a_revoked_certificate_lets_nobody_in() {
    let server = Resuming::new().await;
    let issued = server.ca.workload("/ns/shop/sa/orders").unwrap();
    let client = resuming(&server.ca, &issued);
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
    let list = server.ca.revoke([issued.serial()], 1).unwrap();
    server
        .publisher
        .publish(material(&server.issued, &revoking(&server.ca, &list)));
    server.is_refused(&client, REVOKED).await;
}

/// The sessions are still there: it is the certificate that is looked at again.
#[tokio::test]
async fn a_session_of_an_expired_certificate_lets_nobody_in() {
    let lifetime = Duration::from_secs(1_000_000_000);
    let server = Resuming::with(|builder| builder.allow_resumption(lifetime)).await;
    let issued = server.ca.workload("/ns/shop/sa/orders").unwrap();
    let client = resuming(&server.ca, &issued);
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
    server.clock.set_wall(identity(&issued).not_after());
    server
        .is_served(&client, HandshakeKind::Resumed, ORDERS)
        .await;
    server
        .clock
        .set_wall(identity(&issued).not_after() + Duration::from_secs(1));
    server.is_refused(&client, EXPIRED).await;
}

/// As above, by lists that are overdue: nothing was published since.
#[tokio::test]
async fn a_session_whose_certificate_has_no_known_status_any_more_lets_nobody_in() {
    let lifetime = Duration::from_secs(1_000_000_000);
    let server = Resuming::with(|builder| builder.allow_resumption(lifetime)).await;
    let list = server.ca.revoke([&[0x7f_u8][..]], 1).unwrap();
    let trust = revoking(&server.ca, &list);
    server.publisher.publish(material(&server.issued, &trust));
    let long = server.ca.reference_time() + Duration::from_secs(50 * 86_400);
    let leaf = server
        .ca
        .leaf()
        .add_uri(ORDERS)
        .with_not_after(long)
        .issue()
        .unwrap();
    let client = resuming(&server.ca, &leaf);
    server.is_served(&client, HandshakeKind::Full, ORDERS).await;
    server
        .is_served(&client, HandshakeKind::Resumed, ORDERS)
        .await;
    server.clock.advance(Duration::from_secs(40 * 86_400));
    server
        .is_refused(&client, bartizan_mtls::REVOCATION_UNKNOWN)
        .await;
}

/// What cannot be had otherwise: a resumed handshake does not show the new certificate.
#[tokio::test]
async fn a_client_that_rotates_goes_by_its_old_name_no_longer_than_a_session_lives() {
    let server = Resuming::new().await;
    let keys = ["/old", "/new"].map(|path| {
        let key = server.ca.workload(path).unwrap().certified_key().unwrap();
        Arc::new(key)
    });
    let newest = Arc::new(Rotating(Mutex::new(Arc::clone(&keys[0]))));
    let mut config = dangerous_client_config(&server.ca, None).unwrap();
    config.client_auth_cert_resolver = newest.clone();
    let client = TlsConnector::from(Arc::new(config));
    let (old, new) = ("spiffe://example.org/old", "spiffe://example.org/new");
    server.is_served(&client, HandshakeKind::Full, old).await;
    *newest.0.lock().unwrap() = Arc::clone(&keys[1]);
    server.is_served(&client, HandshakeKind::Resumed, old).await;
    server.clock.advance(LIFETIME);
    server.is_served(&client, HandshakeKind::Full, new).await;
    server.is_served(&client, HandshakeKind::Resumed, new).await;
}

#[derive(Debug)]
struct Rotating(Mutex<Arc<CertifiedKey>>);

impl ResolvesClientCert for Rotating {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_session_of_one_listener_is_none_of_another() {
    let (one, other) = (Resuming::new().await, Resuming::new().await);
    // The same clients are believed by both.
    let trust = bundles([&one.ca]);
    let issued = one.ca.workload("/ns/shop/sa/payments").unwrap();
    other.publisher.publish(material(&issued, &trust));
    let client = one.client("/ns/shop/sa/orders");
    one.is_served(&client, HandshakeKind::Full, ORDERS).await;
    let (kind, answer) = exchange(&client, other.address).await.unwrap();
    assert!(
        kind == HandshakeKind::Full && answer.ends_with(ORDERS),
        "{kind:?} {answer}"
    );
}

#[tokio::test]
async fn the_oldest_sessions_make_room() {
    let few = std::num::NonZeroUsize::new(2).unwrap();
    let server =
        Resuming::with(|builder| builder.allow_resumption(LIFETIME).with_max_sessions(few)).await;
    let clients = ["/a", "/b", "/c"].map(|path| server.client(path));
    for (client, name) in clients.iter().zip(["/a", "/b", "/c"]) {
        server.is_served(client, HandshakeKind::Full, name).await;
    }
    server
        .is_served(&clients[2], HandshakeKind::Resumed, "/c")
        .await;
    server
        .is_served(&clients[0], HandshakeKind::Full, "/a")
        .await;
}
