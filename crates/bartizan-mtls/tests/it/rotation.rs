//! New material while connections are open. Clients here do not retry.

use std::sync::Arc;

use bartizan_mtls::{Identity, Material, MtlsConnector, MtlsListener, Trust, TrustBundles};
use bartizan_source::Publisher;
use bartizan_testkit::ManualClock;
use http::StatusCode;

use crate::support::*;

fn publisher() -> Publisher<Material> {
    Publisher::new(clock(&ManualClock::default()))
}

#[tokio::test]
async fn new_connections_see_the_new_certificate_while_old_ones_go_on() {
    let ca = ca();
    let (first, second) = (
        ca.workload("/ns/shop/sa/payments").unwrap(),
        ca.workload("/ns/shop/sa/payments").unwrap(),
    );
    assert_ne!(first.serial(), second.serial());
    let publisher = publisher();
    publisher.publish(material(&first, &bundles([&ca])));
    let address = serve(MtlsListener::builder(publisher.published()), allow(ORDERS)).await;
    let serial = |answer: &Answer| {
        assert_eq!(answer.status, StatusCode::OK);
        let peer = answer.server.as_ref().unwrap().peer().unwrap();
        peer.serial().to_vec()
    };

    // HTTP/2: one connection for all requests of one client.
    let old = client(orders(&ca), only(PAYMENTS));
    assert_eq!(serial(&get(&old, address).await.unwrap()), first.serial());
    publisher.publish(material(&second, &bundles([&ca])));
    assert_eq!(serial(&get(&old, address).await.unwrap()), first.serial());
    let new = client(orders(&ca), only(PAYMENTS));
    assert_eq!(serial(&get(&new, address).await.unwrap()), second.serial());
    assert_eq!(serial(&get(&old, address).await.unwrap()), first.serial());
}

#[tokio::test]
async fn withdrawn_trust_counts_from_the_next_handshake_on() {
    let ca = ca();
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let publisher = publisher();
    publisher.publish(material(&issued, &bundles([&ca])));
    let address = serve(MtlsListener::builder(publisher.published()), allow(ORDERS)).await;
    let certificate = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&certificate), address).await.is_ok());
    publisher.publish(material(&issued, &TrustBundles::new()));
    assert!(foreign_get(&ca, Some(&certificate), address).await.is_err());
    publisher.publish(material(&issued, &bundles([&ca])));
    assert!(foreign_get(&ca, Some(&certificate), address).await.is_ok());
}

#[tokio::test]
async fn roots_rotate_without_a_refused_client() {
    let (old, new) = (ca(), ca());
    let publisher = publisher();
    let both = || {
        let roots = bartizan_mtls::Roots::from_der([old.root_der(), new.root_der()]).unwrap();
        TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots)
    };
    let served = old.workload("/ns/shop/sa/payments").unwrap();
    publisher.publish(material(&served, &bundles([&old])));
    let address = serve(MtlsListener::builder(publisher.published()), allow(ORDERS)).await;
    let by_old = old.workload("/ns/shop/sa/orders").unwrap();
    let by_new = new.workload("/ns/shop/sa/orders").unwrap();

    assert!(foreign_get(&old, Some(&by_old), address).await.is_ok());
    assert!(foreign_get(&old, Some(&by_new), address).await.is_err());
    publisher.publish(material(&served, &both()));
    assert!(foreign_get(&old, Some(&by_old), address).await.is_ok());
    assert!(foreign_get(&old, Some(&by_new), address).await.is_ok());
    publisher.publish(material(&served, &bundles([&new])));
    assert!(foreign_get(&old, Some(&by_old), address).await.is_err());
    assert!(foreign_get(&old, Some(&by_new), address).await.is_ok());
}

#[tokio::test]
async fn the_client_side_presents_its_newest_certificate() {
    let ca = ca();
    let address = serve(
        MtlsListener::builder(bartizan_source::Published::fixed(payments(&ca))),
        allow("spiffe://example.org/**"),
    )
    .await;
    let publisher = publisher();
    publisher.publish(workload(&ca, "/first"));
    let connector = MtlsConnector::new(publisher.published(), only(PAYMENTS));
    let body = async || {
        get(&client_of(connector.clone()), address)
            .await
            .unwrap()
            .body
    };
    assert_eq!(body().await, "spiffe://example.org/first");
    publisher.publish(workload(&ca, "/second"));
    assert_eq!(body().await, "spiffe://example.org/second");
}

#[test]
fn material_is_cheap_to_share_and_prints_no_key() {
    fn check<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    check::<Material>();
    check::<Identity>();
    check::<Trust>();
    check::<MtlsConnector>();
    let shown = format!("{:?}", Arc::new(orders(&ca())));
    assert!(
        shown.contains(ORDERS) && !shown.to_lowercase().contains("key"),
        "{shown}"
    );
}
