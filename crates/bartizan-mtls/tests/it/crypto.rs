//! Crypto libraries beside ring: what they negotiate, and with whom.

use std::net::SocketAddr;
use std::sync::Arc;

use bartizan_mtls::{Crypto, Material, MtlsConnector, MtlsListener, Trust};
use bartizan_source::Published;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::version::TLS13;
use rustls::{ClientConfig, NamedGroup};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::support::*;

fn of(crypto: &Crypto, issued: &IssuedCertificate, ca: &DevelopmentCa) -> Material {
    let identity =
        crypto.identity_from_pem(issued.chain_pem().as_bytes(), issued.key_pem().as_bytes());
    Material::new(identity.unwrap(), Trust::spiffe(bundles([ca])))
}

/// A server with this library, whose certificate an ordinary client knows by a DNS name too.
async fn serve_with(crypto: &Crypto, ca: &DevelopmentCa) -> SocketAddr {
    let issued = ca
        .leaf()
        .add_uri(PAYMENTS)
        .add_dns("localhost")
        .issue()
        .unwrap();
    let material = of(crypto, &issued, ca);
    serve(
        MtlsListener::builder(Published::fixed(material)),
        allow(ORDERS),
    )
    .await
}

/// What an ordinary client of aws-lc-rs that offers these groups comes to an agreement on.
async fn negotiated(
    ca: &DevelopmentCa,
    address: SocketAddr,
    groups: &[&'static dyn SupportedKxGroup],
) -> NamedGroup {
    let provider = CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(ca.root_store().unwrap())
        .with_client_auth_cert(issued.chain_der(), issued.key().to_rustls())
        .unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap();
    let group = tls
        .get_ref()
        .1
        .negotiated_key_exchange_group()
        .unwrap()
        .name();
    // Let in, too: HTTP/1.1 of nothing is answered with an end.
    tokio::io::AsyncWriteExt::shutdown(&mut tls).await.unwrap();
    timeout(PATIENCE, tls.read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
    group
}

async fn prefers_the_hybrid_group(crypto: &Crypto) {
    use aws_lc_rs::kx_group::{SECP256R1, X25519MLKEM768};

    let ca = ca();
    let address = serve_with(crypto, &ca).await;
    for (offered, expected) in [
        (&[X25519MLKEM768, SECP256R1][..], NamedGroup::X25519MLKEM768),
        // The client's order counts.
        (&[SECP256R1, X25519MLKEM768], NamedGroup::secp256r1),
        (&[SECP256R1], NamedGroup::secp256r1),
    ] {
        assert_eq!(negotiated(&ca, address, offered).await, expected);
    }
    // And ours is to have it first.
    let all = &[SECP256R1, X25519MLKEM768][..];
    assert_eq!(
        negotiated_by(crypto, &ca, all).await,
        NamedGroup::X25519MLKEM768
    );
    assert_eq!(
        negotiated_by(crypto, &ca, &[SECP256R1]).await,
        NamedGroup::secp256r1
    );
}

/// What our connector comes to an agreement on with an ordinary server of these groups.
async fn negotiated_by(
    crypto: &Crypto,
    ca: &DevelopmentCa,
    groups: &[&'static dyn SupportedKxGroup],
) -> NamedGroup {
    let provider = CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(issued.chain_der(), issued.key().to_rustls())
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let tls = acceptor.accept(tcp).await.unwrap();
        tls.get_ref()
            .1
            .negotiated_key_exchange_group()
            .unwrap()
            .name()
    });
    let own = ca.workload("/ns/shop/sa/orders").unwrap();
    let material = Published::fixed(of(crypto, &own, ca));
    let connector = MtlsConnector::new(material, only(PAYMENTS));
    let uri = format!("https://{address}/").parse().unwrap();
    let _stream = connector.connect(&uri).await.unwrap();
    timeout(PATIENCE, server).await.unwrap().unwrap()
}

#[tokio::test]
async fn prefers_key_exchange_that_withstands_quantum_computers() {
    prefers_the_hybrid_group(&Crypto::aws_lc_rs()).await;
    let shown = format!("{:?}", Crypto::aws_lc_rs());
    assert!(
        shown.contains("[X25519MLKEM768, X25519, secp256r1, secp384r1]"),
        "{shown}"
    );
    let shown = format!("{:?}", Crypto::ring());
    assert!(shown.contains("[X25519, secp256r1, secp384r1]"), "{shown}");
}

#[tokio::test]
async fn libraries_talk_to_each_other() {
    let ca = ca();
    let libraries = [Crypto::ring(), Crypto::aws_lc_rs()];
    for server in &libraries {
        let address = serve_with(server, &ca).await;
        for client in &libraries {
            let issued = ca.workload("/ns/shop/sa/orders").unwrap();
            let material = Published::fixed(of(client, &issued, &ca));
            let client = client_of(MtlsConnector::new(material, only(PAYMENTS)));
            assert_eq!(get(&client, address).await.unwrap().body, ORDERS);
        }
    }
}

#[tokio::test]
async fn each_library_refuses_who_is_not_believed() {
    let (ca, other) = (ca(), ca());
    let address = serve_with(&Crypto::aws_lc_rs(), &ca).await;
    let stranger = other.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&stranger), address).await.is_err());
    let good = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&good), address).await.is_ok());
    let wrong = Crypto::aws_lc_rs()
        .identity_from_der(good.chain_der(), stranger.key().to_rustls())
        .unwrap_err();
    assert!(
        matches!(wrong, bartizan_mtls::IdentityError::ForeignKey),
        "{wrong}"
    );
}

#[cfg(feature = "fips")]
#[tokio::test]
async fn the_fips_module_offers_what_is_approved_and_prefers_the_hybrid_group() {
    let crypto = Crypto::fips().expect("fips mode");
    assert!(crypto.is_fips());
    let shown = format!("{crypto:?}");
    assert!(
        shown.contains("[X25519MLKEM768, secp256r1, secp384r1]"),
        "{shown}"
    );
    prefers_the_hybrid_group(&crypto).await;
}
