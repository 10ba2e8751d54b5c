//! The client side: whom it believes, and what it says when it does not.

use std::time::Duration;

use bartizan_mtls::{
    AllowedPeers, ExpectedServers, Identity, Material, MtlsConnectError,
    MtlsConnectErrorKind as Kind, MtlsConnector, MtlsListener, MtlsStream, Roots, Trust,
};
use bartizan_source::{Published, Publisher};
use bartizan_testkit::{DevelopmentCa, ManualClock};
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::*;

fn uri(address: impl std::fmt::Display) -> Uri {
    format!("https://{address}/").parse().unwrap()
}

fn kind(outcome: Result<MtlsStream, MtlsConnectError>) -> Kind {
    outcome.expect_err("must not connect").kind()
}

fn connector(material: Material, server: AllowedPeers) -> MtlsConnector {
    MtlsConnector::new(Published::fixed(material), server)
}

#[tokio::test]
async fn takes_the_expected_server_alone() {
    let ca = ca();
    let uri = uri(serve_payments(&ca).await);
    for (server, expected) in [
        (only(PAYMENTS), true),
        (
            AllowedPeers::pattern("spiffe://example.org/ns/shop/**".parse().unwrap()),
            true,
        ),
        (
            AllowedPeers::trust_domain("example.org".parse().unwrap()),
            true,
        ),
        (only(ORDERS), false),
        (
            AllowedPeers::trust_domain("partner.test".parse().unwrap()),
            false,
        ),
        (AllowedPeers::dns_name("localhost").unwrap(), false),
    ] {
        let shown = format!("{server:?}");
        match connector(orders(&ca), server).connect(&uri).await {
            Ok(stream) => {
                assert!(expected, "{shown}");
                assert_eq!(stream.peer().to_string(), PAYMENTS);
            }
            Err(error) => {
                assert!(!expected, "{shown}: {error}");
                assert_eq!(error.kind(), Kind::ServerNotAllowed, "{shown}");
                assert!(error.to_string().contains(PAYMENTS), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn refuses_servers_that_prove_nothing() {
    let (ca, other) = (ca(), DevelopmentCa::new("example.org").unwrap());
    let ours = uri(serve_payments(&ca).await);
    // A client that trusts another authority of the same name.
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let mistrusting = connector(material(&issued, &bundles([&other])), only(PAYMENTS));
    assert_eq!(
        kind(mistrusting.connect(&ours).await),
        Kind::ServerNotVerified
    );

    // The same server, a year later.
    let later = ManualClock::at(ca.reference_time());
    let connector = MtlsConnector::builder(Published::fixed(orders(&ca)), only(PAYMENTS))
        .with_clock(clock(&later))
        .build();
    assert!(connector.connect(&ours).await.is_ok());
    later.advance(Duration::from_secs(366 * 86_400));
    assert_eq!(
        kind(connector.connect(&ours).await),
        Kind::ServerNotVerified
    );
}

#[tokio::test]
async fn finds_a_refusal_that_comes_with_the_first_request() {
    let (ca, other) = (ca(), DevelopmentCa::new("example.org").unwrap());
    let address = serve_payments(&ca).await;
    // Believes the server, and is not believed by it.
    let stranger = other.workload("/ns/shop/sa/orders").unwrap();
    let client = client(material(&stranger, &bundles([&ca])), only(PAYMENTS));
    let error = get(&client, address).await.unwrap_err();
    let late = MtlsConnectError::late_rejection(&error).unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(late.kind(), Kind::RefusedByServer);

    assert!(format!("{:?}", late).contains("UnknownCA"), "{late:?}");

    let unrelated = std::io::Error::other("something else");
    assert!(MtlsConnectError::late_rejection(&unrelated).is_none());
}

#[tokio::test]
async fn says_why_there_is_no_connection() {
    let ca = ca();
    let connector = connector(orders(&ca), only(PAYMENTS));
    assert_eq!(
        kind(connector.connect(&Uri::from_static("/path")).await),
        Kind::InvalidUri
    );
    assert_eq!(
        kind(connector.connect(&Uri::from_static("https://a_b!/")).await),
        Kind::InvalidUri
    );

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    assert_eq!(kind(connector.connect(&uri(address)).await), Kind::Connect);

    let nobody = Publisher::<Material>::new(clock(&ManualClock::default()));
    let connector = MtlsConnector::new(nobody.published(), only(PAYMENTS));
    assert_eq!(
        kind(connector.connect(&uri(address)).await),
        Kind::NoIdentity
    );
}

#[tokio::test]
async fn gives_up_on_servers_that_are_silent_or_speak_no_tls() {
    let ca = ca();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = uri(listener.local_addr().unwrap());
    let connector = MtlsConnector::builder(Published::fixed(orders(&ca)), only(PAYMENTS))
        .with_handshake_timeout(Duration::from_millis(50))
        .build();
    // The kernel accepts; nobody answers.
    assert_eq!(kind(connector.connect(&uri).await), Kind::HandshakeTimeout);
    listener.accept().await.unwrap();

    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest).await;
    });
    let patient = self::connector(orders(&ca), only(PAYMENTS));
    assert_eq!(kind(patient.connect(&uri).await), Kind::Handshake);
}

#[tokio::test]
async fn dns_identity_works_at_both_ends_and_mixes_with_nothing() {
    let ca = ca();
    let roots = Roots::from_der([ca.root_der()]).unwrap();
    let by_name = |name: &str| {
        let issued = ca.leaf().add_dns(name).issue().unwrap();
        let identity =
            Identity::dns_from_der(issued.chain_der(), issued.key().to_rustls()).unwrap();
        Material::new(identity, Trust::dns(roots.clone()))
    };
    let layer = bartizan_mtls::MtlsLayer::builder()
        .allow_dns_name("orders.test")
        .build()
        .unwrap();
    let builder = MtlsListener::builder(Published::fixed(by_name("payments.test")));
    let address = serve(builder, layer).await;

    let server = AllowedPeers::dns_name("payments.test").unwrap();
    let answer = get(&client(by_name("orders.test"), server.clone()), address)
        .await
        .unwrap();
    assert_eq!(
        (answer.status.as_u16(), &*answer.body),
        (200, "orders.test")
    );
    let answer = get(&client(by_name("other.test"), server.clone()), address)
        .await
        .unwrap();
    assert_eq!(answer.status.as_u16(), 403);

    // An SVID of the same authority has no DNS identity here.
    let svid = ca.leaf().add_uri(ORDERS).issue().unwrap();
    let spiffe = Material::new(identity(&svid), Trust::dns(roots.clone()));
    assert!(get(&client(spiffe, server), address).await.is_err());
}

#[tokio::test]
async fn connects_over_ipv6_and_offers_http2_alone_when_told() {
    let ca = ca();
    let mut listener = MtlsListener::builder(Published::fixed(payments(&ca)))
        .bind("[::1]:0")
        .await
        .unwrap();
    let connector = MtlsConnector::builder(Published::fixed(orders(&ca)), only(PAYMENTS))
        .require_http2()
        .build();
    let uri = uri(listener.local_addr());
    let (stream, accepted) = tokio::join!(connector.connect(&uri), listener.accept());
    assert!(stream.unwrap().is_http2());
    assert_eq!(accepted.unwrap().peer().to_string(), ORDERS);
}

#[tokio::test]
async fn expects_at_each_host_its_own_server() {
    let ca = ca();
    let address = serve_payments(&ca).await;
    let servers = |expected: AllowedPeers| {
        ExpectedServers::by_host()
            .add_host("127.0.0.1", expected)
            .and_then(|servers| servers.add_host("orders.test", only(ORDERS)))
            .unwrap()
    };
    let connector =
        |servers: ExpectedServers| MtlsConnector::new(Published::fixed(orders(&ca)), servers);
    let right = connector(servers(only(PAYMENTS)));
    let stream = right.connect(&uri(address)).await.unwrap();
    assert_eq!(stream.peer().to_string(), PAYMENTS);
    let wrong = connector(servers(only(ORDERS)));
    assert_eq!(
        kind(wrong.connect(&uri(address)).await),
        Kind::ServerNotAllowed
    );
    // Nobody is asked where nobody is expected.
    let port = address.port();
    let elsewhere = uri(format_args!("localhost:{port}"));
    assert_eq!(kind(right.connect(&elsewhere).await), Kind::UnknownHost);
}
