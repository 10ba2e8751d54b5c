//! gRPC passes through, with trailers, streams and refusals that its clients understand.

use std::net::SocketAddr;

use bartizan::mtls::{AllowedPeers, Identity, Material, MtlsConnector, Roots, Trust, TrustBundles};
use bartizan::source::Published;
use bartizan_testkit::IssuedCertificate;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::HealthReporter;
use tonic_types::StatusExt as _;

use crate::support::{Gate, Town, h2};

/// A gRPC service in the clear.
async fn health() -> (SocketAddr, HealthReporter) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reporter, health) = tonic_health::server::health_reporter();
    let server = Server::builder().add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (address, reporter)
}

/// What a workload needs to connect under this certificate.
pub(crate) fn material(town: &Town, certificate: &IssuedCertificate) -> Published<Material> {
    let chain = certificate.chain_pem();
    let identity = Identity::from_pem(chain.as_bytes(), certificate.key_pem().as_bytes());
    let roots = Roots::from_pem(town.ca.certificate_pem().as_bytes()).unwrap();
    let bundles = TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots);
    Published::fixed(Material::new(identity.unwrap(), Trust::spiffe(bundles)))
}

async fn client(town: &Town, gate: &Gate, workload: &str) -> HealthClient<Channel> {
    let certificate = town.ca.workload(workload).unwrap();
    let gateway = AllowedPeers::id("spiffe://example.org/gateway".parse().unwrap());
    let connector = MtlsConnector::builder(material(town, &certificate), gateway);
    let connector = connector.require_http2().build();
    let endpoint = Endpoint::from_shared(format!("http://{}", gate.at.requests)).unwrap();
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    HealthClient::new(channel)
}

#[tokio::test]
async fn calls_and_streams_pass_for_whom_the_policy_allows() {
    let town = Town::new().await;
    let (upstream, reporter) = health().await;
    let gate = town.start(&h2(&town.tls(upstream))).await;
    let mut web = client(&town, &gate, "/web").await;
    let request = HealthCheckRequest::default();
    let answer = web.check(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.status, 1, "SERVING");

    let watch = web.watch(request.clone()).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);

    // A status of the upstream's own comes in trailers.
    let unknown = HealthCheckRequest {
        service: "none".to_owned(),
    };
    let status = web.check(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);

    let mut reports = client(&town, &gate, "/reports").await;
    let status = reports.check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(code(&status), "authz.denied");
}

#[tokio::test]
async fn an_upstream_that_is_away_is_unavailable() {
    let town = Town::new().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr();
    let gate = town.start(&h2(&town.tls(gone.unwrap()))).await;
    let mut web = client(&town, &gate, "/web").await;
    let status = web.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(code(&status), "gateway.upstream_unreachable");
}

fn code(status: &tonic::Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{status:?}"));
    info.metadata["code"].clone()
}
