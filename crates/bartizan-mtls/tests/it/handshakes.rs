//! Who gets in, and what is told of those who do not.

use std::time::Duration;

use bartizan_core::Code;
use bartizan_mtls::{
    EXPIRED, MtlsListener, NO_CERTIFICATE, NO_IDENTITY, NOT_AN_SVID, UNKNOWN_AUTHORITY,
};
use bartizan_source::{Published, Publisher};
use bartizan_testkit::{DevelopmentCa, ExtendedKeyUsage, IssuedCertificate, ManualClock};
use http::{StatusCode, Version};
use rustls::{AlertDescription, Error, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

#[tokio::test]
async fn serves_known_peers_over_http2_and_http1() {
    let ca = ca();
    let address = serve_payments(&ca).await;
    let answer = get(&client(orders(&ca), only(PAYMENTS)), address)
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.version),
        (StatusCode::OK, Version::HTTP_2)
    );
    assert_eq!(answer.body, ORDERS);
    let server = answer.server.unwrap();
    assert_eq!(server.peer().unwrap().to_string(), PAYMENTS);
    assert_eq!(server.remote(), Some(address));

    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let answer = foreign_get(&ca, Some(&issued), address).await.unwrap();
    assert_eq!(
        (answer.status, answer.version),
        (StatusCode::OK, Version::HTTP_11)
    );
    assert_eq!(answer.body, ORDERS);
}

#[tokio::test]
async fn a_connection_tells_its_near_end_and_the_name_that_was_asked_for() {
    let ca = ca();
    let builder = MtlsListener::builder(Published::fixed(payments(&ca)));
    let mut listener = builder.bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let caller = tokio::spawn(async move { foreign_get(&ca, Some(&issued), address).await });
    let stream = listener.accept().await.unwrap();
    let connection = stream.connection();
    assert_eq!(connection.local(), Some(address));
    assert_eq!(connection.server_name(), Some("localhost"));
    assert_ne!(connection.remote(), Some(address));
    caller.abort();
}

#[tokio::test]
async fn the_layer_refuses_peers_that_are_not_listed() {
    let ca = ca();
    let address = serve_payments(&ca).await;
    let other = client(workload(&ca, "/ns/shop/sa/other"), only(PAYMENTS));
    let answer = get(&other, address).await.unwrap();
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer.body.contains("mtls.peer_not_allowed"),
        "{}",
        answer.body
    );
}

/// One client that must not get in; then one that must, on the same listener.
async fn check(
    ca: &DevelopmentCa,
    trusted: &[&DevelopmentCa],
    certificate: Option<IssuedCertificate>,
    expected: Code,
    alert: AlertDescription,
) {
    let recorder = Recorder::default();
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let material = material(&issued, &bundles(trusted.iter().copied()));
    let builder =
        MtlsListener::builder(Published::fixed(material)).with_observer(recorder.shared());
    let address = serve(builder, allow("spiffe://example.org/**")).await;

    let error = foreign_get(ca, certificate.as_ref(), address)
        .await
        .unwrap_err();
    let seen = recorder.wait_for(1).await;
    assert_eq!(seen[0].0, expected, "{seen:?}");
    assert_eq!(received_alert(&*error), Some(alert), "{error:?}");

    let good = ca.workload("/good").unwrap();
    assert_eq!(
        foreign_get(ca, Some(&good), address).await.unwrap().status,
        StatusCode::OK
    );
    assert_eq!(recorder.codes().len(), 1, "{:?}", recorder.codes());
}

/// The alert in the causes of a client's error.
fn received_alert(error: &(dyn std::error::Error + 'static)) -> Option<AlertDescription> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<Error>());
        if let Some(Error::AlertReceived(alert)) = tls.or_else(|| error.downcast_ref()) {
            return Some(*alert);
        }
        next = error.source();
    }
    None
}

#[tokio::test]
async fn refuses_a_client_without_certificate() {
    let ca = ca();
    check(
        &ca,
        &[&ca],
        None,
        NO_CERTIFICATE,
        AlertDescription::CertificateRequired,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_client_of_another_authority() {
    let (ca, other) = (ca(), ca());
    let stranger = other.workload("/ns/shop/sa/orders").unwrap();
    check(
        &ca,
        &[&ca],
        Some(stranger),
        UNKNOWN_AUTHORITY,
        AlertDescription::UnknownCA,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_federated_authority_that_forges_our_names() {
    let (ca, partner) = (ca(), DevelopmentCa::new("partner.test").unwrap());
    let forged = partner.leaf().add_uri(ORDERS).issue().unwrap();
    let trusted = [&ca, &partner];
    check(
        &ca,
        &trusted,
        Some(forged),
        UNKNOWN_AUTHORITY,
        AlertDescription::UnknownCA,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_client_whose_chain_breaks_a_rule_of_its_authority() {
    let ca = ca();
    let constrained = DevelopmentCa::builder("constrained.test")
        .add_permitted_uri_host("constrained.test")
        .build_root()
        .unwrap();
    let client = constrained.workload("/x").unwrap();
    let trusted = [&ca, &constrained];
    let alert = AlertDescription::CertificateUnknown;
    check(&ca, &trusted, Some(client), UNKNOWN_AUTHORITY, alert).await;
}

#[tokio::test]
async fn refuses_an_expired_client() {
    let ca = ca();
    let past = ca.reference_time().saturating_sub(Duration::from_secs(60));
    let expired = ca
        .leaf()
        .add_uri(ORDERS)
        .with_not_after(past)
        .issue()
        .unwrap();
    check(
        &ca,
        &[&ca],
        Some(expired),
        EXPIRED,
        AlertDescription::CertificateExpired,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_client_with_two_uris() {
    let ca = ca();
    let two = ca.leaf().add_uri(ORDERS).add_uri(PAYMENTS).issue().unwrap();
    check(
        &ca,
        &[&ca],
        Some(two),
        NOT_AN_SVID,
        AlertDescription::CertificateUnknown,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_client_whose_key_is_for_something_else() {
    let ca = ca();
    let server = ca
        .leaf()
        .add_uri(ORDERS)
        .with_extended_key_usage([ExtendedKeyUsage::ServerAuth]);
    check(
        &ca,
        &[&ca],
        Some(server.issue().unwrap()),
        NOT_AN_SVID,
        AlertDescription::UnsupportedCertificate,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_client_that_has_the_certificate_and_not_the_key() {
    let ca = ca();
    let recorder = Recorder::default();
    let builder =
        MtlsListener::builder(Published::fixed(payments(&ca))).with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let stolen = ca.workload("/ns/shop/sa/orders").unwrap();
    let own = ca.workload("/thief").unwrap();
    let thief = stolen.with_foreign_key(own.key());
    assert!(foreign_get(&ca, Some(&thief), address).await.is_err());
    assert_eq!(
        recorder.wait_for(1).await[0].0.as_str(),
        "mtls.handshake_failed"
    );
    assert_eq!(
        foreign_get(&ca, Some(&stolen), address)
            .await
            .unwrap()
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn compares_validity_with_its_own_clock() {
    let ca = ca();
    let manual = ManualClock::at(ca.reference_time());
    let builder = MtlsListener::builder(Published::fixed(payments(&ca))).with_clock(clock(&manual));
    let address = serve(builder, allow(ORDERS)).await;
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&issued), address).await.is_ok());
    manual.advance(Duration::from_secs(2 * 86_400));
    assert!(foreign_get(&ca, Some(&issued), address).await.is_err());
}

#[tokio::test]
async fn a_partner_is_let_in_under_its_own_names() {
    let (ca, partner) = (ca(), DevelopmentCa::new("partner.test").unwrap());
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let builder = MtlsListener::builder(Published::fixed(material(
        &issued,
        &bundles([&ca, &partner]),
    )));
    let address = serve(builder, allow("spiffe://partner.test/**")).await;
    // The foreign client checks the server by our authority, and shows the partner's certificate.
    let certificate = partner.workload("/x").unwrap();
    let answer = foreign_get(&ca, Some(&certificate), address).await.unwrap();
    assert_eq!(answer.body, "spiffe://partner.test/x");
}

#[tokio::test]
async fn never_resumes_a_session() {
    let ca = ca();
    let address = serve_payments(&ca).await;
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    // One configuration for both, so that it would remember a ticket.
    let config = bartizan_testkit::tls::dangerous_client_config(&ca, Some(&issued)).unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    for _ in 0..2 {
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut tls = connector
            .connect("localhost".try_into().unwrap(), tcp)
            .await
            .unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut tls, request)
            .await
            .unwrap();
        let mut answer = String::new();
        // Tickets arrive with the first bytes that the server sends.
        tls.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(ORDERS), "{answer}");
        assert_eq!(tls.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(tls.get_ref().1.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn without_an_identity_nobody_gets_in_until_there_is_one() {
    let ca = ca();
    let recorder = Recorder::default();
    let publisher = Publisher::new(clock(&ManualClock::default()));
    let builder = MtlsListener::builder(publisher.published()).with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&issued), address).await.is_err());
    assert_eq!(recorder.wait_for(1).await[0].0, NO_IDENTITY);
    publisher.publish(payments(&ca));
    assert_eq!(
        foreign_get(&ca, Some(&issued), address).await.unwrap().body,
        ORDERS
    );
}

#[tokio::test]
async fn a_refused_client_may_finish_its_request_and_then_reads_why() {
    let (ca, other) = (ca(), ca());
    let recorder = Recorder::default();
    let builder =
        MtlsListener::builder(Published::fixed(payments(&ca))).with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let stranger = other.workload("/ns/shop/sa/orders").unwrap();
    let config = bartizan_testkit::tls::dangerous_client_config(&ca, Some(&stranger)).unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut tls = connector
        .connect("localhost".try_into().unwrap(), tcp)
        .await
        .unwrap();
    // Refused by now, and the client does not know.
    assert_eq!(recorder.wait_for(1).await[0].0, UNKNOWN_AUTHORITY);
    for _ in 0..2 {
        tls.write_all(&[b'x'; 4096]).await.unwrap();
        tls.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let error = tls.read_u8().await.unwrap_err();
    assert_eq!(
        received_alert(&error),
        Some(AlertDescription::UnknownCA),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_monitor_tells_how_the_listener_fares() {
    let (ca, other) = (ca(), ca());
    let publisher = Publisher::new(clock(&ManualClock::default()));
    let mut listener = MtlsListener::builder(publisher.published())
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let (address, monitor) = (listener.local_addr(), listener.monitor());
    let status = monitor.status();
    assert_eq!((status.not_after, status.serial), (None, None));
    assert_eq!(status.source.generation(), 0);

    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let good = ca.workload("/ns/shop/sa/orders").unwrap();
    let stranger = other.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&good), address).await.is_err());
    publisher.publish(material(&issued, &bundles([&ca])));
    publisher.fail("a later version was broken");
    assert!(foreign_get(&ca, Some(&stranger), address).await.is_err());
    assert!(foreign_get(&ca, None, address).await.is_err());
    assert!(foreign_get(&ca, None, address).await.is_err());
    let calling = tokio::spawn(async move {
        let _ = foreign_get(&ca, Some(&good), address).await;
    });
    let stream = listener.accept().await.unwrap();

    let status = monitor.status();
    assert_eq!(status.handshakes_completed, 1);
    let expected = [
        (NO_CERTIFICATE, 2),
        (NO_IDENTITY, 1),
        (UNKNOWN_AUTHORITY, 1),
    ];
    assert_eq!(status.handshakes_failed, expected.into());
    assert_eq!(status.serial.as_deref(), Some(issued.serial()));
    assert_eq!(status.not_after, Some(identity(&issued).not_after()));
    assert!(status.source.generation() == 1 && status.source.is_failing());
    drop(stream);
    calling.await.unwrap();
    while monitor.status().handshakes_under_way > 0 {
        tokio::task::yield_now().await;
    }
}
