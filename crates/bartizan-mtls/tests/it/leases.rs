//! Connections that end when they have to, under servers that know nothing of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_mtls::{
    CONNECTION_AGED, EndConnection, Material, MtlsListener, MtlsListenerBuilder, PEER_EXPIRED,
    REVOKED, RevocationLists, Roots, TRUST_WITHDRAWN, TrustBundles,
};
use bartizan_source::Publisher;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate, ManualClock};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::*;

/// A plain hyper server, as axum's and tonic's are, with everything that a test may change.
struct Lent {
    ca: DevelopmentCa,
    clock: ManualClock,
    issued: IssuedCertificate,
    client: IssuedCertificate,
    publisher: Publisher<Material>,
    recorder: Recorder,
    /// Lets one request be answered for each permit.
    open: Arc<Semaphore>,
    entered: Arc<Semaphore>,
    address: SocketAddr,
}

impl Lent {
    async fn on(change: impl FnOnce(MtlsListenerBuilder) -> MtlsListenerBuilder) -> Self {
        let ca = ca();
        let clock = ManualClock::at(ca.reference_time());
        let (issued, client) = (
            ca.workload("/ns/shop/sa/payments").unwrap(),
            ca.workload("/ns/shop/sa/orders").unwrap(),
        );
        let publisher = Publisher::new(self::clock(&clock));
        publisher.publish(material(&issued, &bundles([&ca])));
        let recorder = Recorder::default();
        let builder = MtlsListener::builder(publisher.published())
            .with_clock(self::clock(&clock))
            .with_observer(recorder.shared());
        let mut listener = change(builder).bind("127.0.0.1:0").await.unwrap();
        let (address, open) = (listener.local_addr(), Arc::new(Semaphore::new(0)));
        let (gate, entered) = (Arc::clone(&open), Arc::new(Semaphore::new(0)));
        let entering = Arc::clone(&entered);
        tokio::spawn(async move {
            while let Ok(stream) = listener.accept().await {
                let (gate, entering) = (Arc::clone(&gate), Arc::clone(&entering));
                let service = hyper::service::service_fn(move |_: Request<Incoming>| {
                    let (gate, entering) = (Arc::clone(&gate), Arc::clone(&entering));
                    async move {
                        entering.add_permits(1);
                        gate.acquire().await.unwrap().forget();
                        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("answered")))
                    }
                });
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            ca,
            clock,
            issued,
            client,
            publisher,
            recorder,
            open,
            entered,
            address,
        }
    }

    async fn connect(&self) -> (SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
        let client = material(&self.client, &bundles([&self.ca]));
        let published = bartizan_source::Published::fixed(client);
        let connector = bartizan_mtls::MtlsConnector::builder(published, only(PAYMENTS))
            .with_clock(clock(&ManualClock::at(self.ca.reference_time())))
            .require_http2()
            .build();
        let uri = format!("https://{}/", self.address).parse().unwrap();
        let stream = connector.connect(&uri).await.unwrap();
        let io = TokioIo::new(stream);
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .unwrap();
        (sender, tokio::spawn(connection))
    }

    /// A request that waits in the service.
    async fn ask(&self, sender: &SendRequest<Empty<Bytes>>) -> JoinHandle<hyper::Result<Bytes>> {
        let mut sender = sender.clone();
        let request = tokio::spawn(async move {
            let request = Request::get("https://localhost/")
                .body(Empty::new())
                .unwrap();
            let response = sender.send_request(request).await?;
            Ok(response.into_body().collect().await?.to_bytes())
        });
        timeout(PATIENCE, self.entered.acquire())
            .await
            .unwrap()
            .unwrap()
            .forget();
        request
    }

    fn revoking(&self) -> TrustBundles {
        let list = self.ca.revoke([self.client.serial()], 1).unwrap();
        let roots = Roots::from_der([self.ca.root_der()])
            .unwrap()
            .with_revocation_lists(RevocationLists::from_der([&list]).unwrap());
        TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots)
    }

    fn publish(&self, trust: &TrustBundles) {
        self.publisher.publish(material(&self.issued, trust));
    }

    async fn was_told(&self, code: bartizan_core::Code) {
        assert_eq!(self.recorder.wait_for(1).await, [(code, ORDERS.to_owned())]);
    }
}

async fn ends(driver: JoinHandle<hyper::Result<()>>) {
    // Whether the client calls it an error is its own affair.
    let _ = timeout(PATIENCE, driver).await.expect("an end").unwrap();
}

async fn is_lost(request: JoinHandle<hyper::Result<Bytes>>) {
    assert!(timeout(PATIENCE, request).await.unwrap().unwrap().is_err());
}

async fn is_answered(request: JoinHandle<hyper::Result<Bytes>>) {
    let answer = timeout(PATIENCE, request).await.unwrap().unwrap();
    assert_eq!(answer.unwrap(), "answered");
}

#[tokio::test]
async fn a_connection_of_a_revoked_peer_ends_after_the_drain_limit() {
    let lent = Lent::on(|builder| builder.with_drain_timeout(Duration::from_millis(1500))).await;
    let (sender, driver) = lent.connect().await;
    let (first, second) = (lent.ask(&sender).await, lent.ask(&sender).await);
    // What does not concern the peer ends nothing.
    lent.publish(&bundles([
        &lent.ca,
        &DevelopmentCa::new("partner.test").unwrap(),
    ]));
    lent.publish(&lent.revoking());
    lent.was_told(REVOKED).await;
    lent.open.add_permits(1);
    is_answered(first).await;
    ends(driver).await;
    is_lost(second).await;
}

#[tokio::test]
async fn an_idle_connection_ends_at_once_if_that_was_asked_for() {
    let lent = Lent::on(|builder| builder.on_revocation(EndConnection::AtOnce)).await;
    let (sender, driver) = lent.connect().await;
    lent.open.add_permits(1);
    is_answered(lent.ask(&sender).await).await;
    lent.publish(&TrustBundles::new());
    ends(driver).await;
    lent.was_told(TRUST_WITHDRAWN).await;
}

#[tokio::test]
async fn a_connection_goes_on_if_that_was_asked_for() {
    let lent = Lent::on(|builder| {
        builder
            .on_revocation(EndConnection::Never)
            .on_expiry(EndConnection::Never)
            .with_drain_timeout(Duration::ZERO)
    })
    .await;
    let (sender, _driver) = lent.connect().await;
    lent.open.add_permits(1);
    is_answered(lent.ask(&sender).await).await;
    lent.publish(&TrustBundles::new());
    lent.clock.advance(Duration::from_secs(10 * 365 * 86_400));
    // Longer than it takes to look.
    let waiting = lent.ask(&sender).await;
    let longer = timeout(Duration::from_millis(1500), waiting).await;
    assert!(longer.is_err(), "it neither ends nor is answered");
    lent.open.add_permits(2);
    is_answered(lent.ask(&sender).await).await;
    assert_eq!(lent.recorder.codes(), []);
}

#[tokio::test]
async fn a_connection_ends_when_its_peer_has_expired() {
    let lent = Lent::on(|builder| builder.with_drain_timeout(Duration::ZERO)).await;
    let (sender, driver) = lent.connect().await;
    let request = lent.ask(&sender).await;
    lent.clock.set_wall(identity(&lent.client).not_after());
    let longer = tokio::time::timeout(Duration::from_millis(1500), driver).await;
    assert!(longer.is_err(), "the last second belongs to it");
    lent.clock.advance(Duration::from_secs(1));
    is_lost(request).await;
    lent.was_told(PEER_EXPIRED).await;
}

#[tokio::test]
async fn a_connection_of_age_ends_if_that_was_asked_for() {
    let lent = Lent::on(|builder| {
        builder
            .with_max_connection_age(Duration::from_millis(500))
            .with_drain_timeout(Duration::ZERO)
    })
    .await;
    let (sender, driver) = lent.connect().await;
    lent.open.add_permits(1);
    is_answered(lent.ask(&sender).await).await;
    ends(driver).await;
    lent.was_told(CONNECTION_AGED).await;
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn under_axum_a_revoked_peer_loses_its_connection() {
    use bartizan_core::{AxumListener, Connection};

    let ca = ca();
    let publisher = Publisher::new(clock(&ManualClock::at(ca.reference_time())));
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    publisher.publish(material(&issued, &bundles([&ca])));
    let listener = MtlsListener::builder(publisher.published())
        .on_revocation(EndConnection::AtOnce)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = listener.local_addr();
    let app = axum::Router::new()
        .route("/", axum::routing::get(async || "answered"))
        .into_make_service_with_connect_info::<Connection>();
    tokio::spawn(async move { axum::serve(AxumListener::new(listener), app).await });
    let client = client(orders(&ca), only(PAYMENTS));
    assert_eq!(get(&client, address).await.unwrap().body, "answered");
    publisher.publish(material(&issued, &TrustBundles::new()));
    let refused = async { while get(&client, address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("refused");
}

#[cfg(feature = "tonic")]
#[tokio::test]
async fn under_tonic_a_revoked_peer_loses_its_stream() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let ca = ca();
    let publisher = Publisher::new(clock(&ManualClock::at(ca.reference_time())));
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    publisher.publish(material(&issued, &bundles([&ca])));
    let listener = MtlsListener::builder(publisher.published())
        .on_revocation(EndConnection::AtOnce)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = listener.local_addr();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder().add_service(health);
    tokio::spawn(server.serve_with_incoming(listener));
    let published = bartizan_source::Published::fixed(orders(&ca));
    let connector = bartizan_mtls::MtlsConnector::new(published, only(PAYMENTS));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_with_connector(connector)
        .await
        .unwrap();
    let watching = HealthClient::new(channel)
        .watch(HealthCheckRequest::default())
        .await;
    let mut watching = watching.unwrap().into_inner();
    assert!(watching.message().await.unwrap().is_some());
    publisher.publish(material(&issued, &TrustBundles::new()));
    let end = timeout(PATIENCE, watching.message()).await.expect("an end");
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
}
