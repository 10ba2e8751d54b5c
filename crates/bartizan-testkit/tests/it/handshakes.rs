//! The TLS configurations, against a rustls server that wants a client certificate.

use std::sync::Arc;

use bartizan_testkit::{DevelopmentCa, IssuedCertificate, tls};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A server below `ca` that wants a client certificate of `clients`.
fn server(ca: &DevelopmentCa, clients: &DevelopmentCa) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(clients.root_store().unwrap());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let identity = ca
        .leaf()
        .add_uri("spiffe://example.org/server")
        .issue()
        .unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(identity.chain_der(), identity.key().to_rustls())
        .unwrap()
}

/// One handshake in memory: the client's certificate as the server saw it, or what each side said.
async fn handshake(client: ClientConfig, server: ServerConfig) -> Result<Vec<u8>, String> {
    let (near, far) = tokio::io::duplex(16_384);
    let accept = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await?;
        stream.write_all(b"x").await?;
        let seen = stream
            .get_ref()
            .1
            .peer_certificates()
            .map(|chain| chain[0].to_vec());
        Ok::<_, std::io::Error>(seen.unwrap_or_default())
    };
    let connect = async {
        let name = "wherever.example".try_into().unwrap();
        let mut stream = TlsConnector::from(Arc::new(client))
            .connect(name, near)
            .await?;
        stream.read_u8().await
    };
    let (seen, sent) = tokio::join!(accept, connect);
    match (seen, sent) {
        (Ok(seen), Ok(_)) => Ok(seen),
        (seen, sent) => Err(format!(
            "server: {:?}, client: {:?}",
            seen.err(),
            sent.err()
        )),
    }
}

async fn check(identity: Option<&IssuedCertificate>, ca: &DevelopmentCa, accepted: bool) {
    let client = tls::dangerous_client_config(ca, identity).unwrap();
    let outcome = handshake(client, server(ca, ca)).await;
    assert_eq!(outcome.is_ok(), accepted, "{outcome:?}");
    if let (Ok(seen), Some(identity)) = (outcome, identity) {
        assert_eq!(seen, identity.certificate_der().to_vec());
    }
}

#[tokio::test]
async fn the_dangerous_client_ignores_the_name_and_presents_what_it_was_given() {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let client = ca.workload("/client").unwrap();
    check(Some(&client), &ca, true).await;
    check(None, &ca, false).await;
    let stranger = DevelopmentCa::new("example.org")
        .unwrap()
        .workload("/client")
        .unwrap();
    check(Some(&stranger), &ca, false).await;
    let thief = client.with_foreign_key(stranger.key());
    check(Some(&thief), &ca, false).await;
}

#[tokio::test]
async fn the_dangerous_client_still_verifies_the_chain() {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let other = DevelopmentCa::new("example.org").unwrap();
    let client = tls::dangerous_client_config(&ca, Some(&ca.workload("/a").unwrap())).unwrap();
    let outcome = handshake(client, server(&other, &ca)).await;
    let error = outcome.unwrap_err();
    assert!(
        error.contains("InvalidCertificate(UnknownIssuer)"),
        "{error}"
    );
}

#[tokio::test]
async fn the_ordinary_client_checks_the_name() {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let identity = ca.loopback_server().unwrap();
    let outcome = handshake(
        tls::client_config(&ca).unwrap(),
        tls::server_config(&identity).unwrap(),
    );
    let error = outcome.await.unwrap_err();
    assert!(error.contains("NotValidForName"), "{error}");
}
