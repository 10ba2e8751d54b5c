//! Clients that take a TLS configuration once and for all: reqwest, and hyper-rustls under it.

use std::net::SocketAddr;

use bartizan_mtls::{
    AllowedPeers, ExpectedServers, Material, MtlsConnectError, MtlsConnectErrorKind, MtlsConnector,
};
use bartizan_source::{Published, Publisher};
use bartizan_testkit::ManualClock;

use crate::support::*;

fn reqwest_of(
    material: Published<Material>,
    servers: impl Into<ExpectedServers>,
) -> reqwest::Client {
    let tls = MtlsConnector::builder(material, servers)
        .build_client_config()
        .unwrap();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // Each request with a handshake of its own.
        .pool_max_idle_per_host(0)
        .no_proxy()
        .build()
        .unwrap()
}

async fn ask(client: &reqwest::Client, address: SocketAddr) -> reqwest::Result<String> {
    client
        .get(format!("https://{address}/"))
        .send()
        .await?
        .text()
        .await
}

#[tokio::test]
async fn reqwest_presents_the_newest_identity_and_verifies_by_the_newest_trust() {
    let ca = ca();
    let layer = allow("spiffe://example.org/**");
    let builder = bartizan_mtls::MtlsListener::builder(Published::fixed(payments(&ca)));
    let address = serve(builder, layer).await;
    let publisher = Publisher::new(clock(&ManualClock::default()));
    let client = reqwest_of(publisher.published(), only(PAYMENTS));
    assert!(ask(&client, address).await.is_err(), "nothing is published");
    publisher.publish(orders(&ca));
    assert_eq!(ask(&client, address).await.unwrap(), ORDERS);
    publisher.publish(workload(&ca, "/ns/shop/sa/renamed"));
    let renamed = "spiffe://example.org/ns/shop/sa/renamed";
    assert_eq!(ask(&client, address).await.unwrap(), renamed);
    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    publisher.publish(material(&issued, &bundles([&self::ca()])));
    assert!(ask(&client, address).await.is_err(), "another authority");
}

#[tokio::test]
async fn reqwest_reaches_the_expected_server_alone() {
    let ca = ca();
    let address = serve_payments(&ca).await;
    let client = |servers: ExpectedServers| reqwest_of(Published::fixed(orders(&ca)), servers);
    assert!(ask(&client(only(PAYMENTS).into()), address).await.is_ok());
    assert!(ask(&client(only(ORDERS).into()), address).await.is_err());
    let at = |host: &str, servers: AllowedPeers| {
        ExpectedServers::by_host().add_host(host, servers).unwrap()
    };
    assert!(
        ask(&client(at("127.0.0.1", only(PAYMENTS))), address)
            .await
            .is_ok()
    );
    assert!(
        ask(&client(at("127.0.0.2", only(PAYMENTS))), address)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn finds_a_late_refusal_in_an_error_of_reqwest() {
    let (ca, other) = (ca(), ca());
    let address = serve_payments(&ca).await;
    let stranger = other.workload("/ns/shop/sa/orders").unwrap();
    let client = reqwest_of(
        Published::fixed(material(&stranger, &bundles([&ca]))),
        only(PAYMENTS),
    );
    let error = ask(&client, address).await.unwrap_err();
    let late = MtlsConnectError::late_rejection(&error).unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(late.kind(), MtlsConnectErrorKind::RefusedByServer);
}
