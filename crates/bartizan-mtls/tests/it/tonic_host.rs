//! The listener, the layer and the connector under tonic.

use std::net::SocketAddr;

use bartizan_mtls::{MtlsConnectError, MtlsConnectErrorKind, MtlsConnector, MtlsListener};
use bartizan_source::Published;
use bartizan_testkit::DevelopmentCa;
use tonic::Code;
use tonic::transport::{Endpoint, Server};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::health_reporter;

use crate::support::*;

async fn serve_tonic(ca: &DevelopmentCa) -> SocketAddr {
    let listener = MtlsListener::builder(Published::fixed(payments(ca)))
        .bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr();
    let (reporter, health) = health_reporter();
    reporter
        .set_service_status("", ServingStatus::Serving)
        .await;
    let server = Server::builder().layer(allow(ORDERS)).add_service(health);
    tokio::spawn(server.serve_with_incoming(listener));
    address
}

async fn ask(
    address: SocketAddr,
    connector: MtlsConnector,
) -> Result<i32, Box<dyn std::error::Error>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.connect_with_connector(connector).await?;
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await?;
    Ok(answer.into_inner().status)
}

#[tokio::test]
async fn serves_known_peers_and_answers_others_in_grpc() {
    let ca = ca();
    let address = serve_tonic(&ca).await;
    let connector = |path: &str| {
        MtlsConnector::builder(Published::fixed(workload(&ca, path)), only(PAYMENTS))
            .require_http2()
            .build()
    };
    let status = ask(address, connector("/ns/shop/sa/orders")).await.unwrap();
    assert_eq!(status, 1, "SERVING");

    let error = ask(address, connector("/ns/shop/sa/other"))
        .await
        .unwrap_err();
    let status = error.downcast_ref::<tonic::Status>().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    let code = tonic_code(status);
    assert!(code.contains("mtls.peer_not_allowed"), "{status:?}");
}

fn tonic_code(status: &tonic::Status) -> String {
    // `google.rpc.ErrorInfo` carries the reason; looked at as bytes, without its schema.
    String::from_utf8_lossy(status.details()).into_owned() + status.message()
}

#[tokio::test]
async fn a_channel_does_not_reach_another_server_than_it_was_told() {
    let ca = ca();
    let address = serve_tonic(&ca).await;
    let connector = MtlsConnector::new(Published::fixed(orders(&ca)), only(ORDERS));
    let error = ask(address, connector).await.unwrap_err();
    let mut causes = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(&*error);
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    assert!(
        causes.iter().any(|cause| cause.contains("wrong server")),
        "{causes:?}"
    );
}

#[tokio::test]
async fn a_refusal_that_comes_late_is_found_in_a_status() {
    let (ca, other) = (ca(), ca());
    let address = serve_tonic(&ca).await;
    let stranger = other.workload("/ns/shop/sa/orders").unwrap();
    let material = material(&stranger, &bundles([&ca]));
    let connector = MtlsConnector::new(Published::fixed(material), only(PAYMENTS));
    let error = ask(address, connector).await.unwrap_err();
    let late = MtlsConnectError::late_rejection(&*error).unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(late.kind(), MtlsConnectErrorKind::RefusedByServer);
}
