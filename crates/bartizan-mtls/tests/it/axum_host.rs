//! The listener and the layer under axum.

use axum::Router;
use axum::routing::get as route;
use bartizan_core::{AxumListener, Connection, Peer};
use bartizan_mtls::MtlsListener;
use bartizan_source::Published;
use http::{StatusCode, Version};

use crate::support::*;

async fn serve_axum(ca: &bartizan_testkit::DevelopmentCa) -> std::net::SocketAddr {
    let listener = MtlsListener::builder(Published::fixed(payments(ca)))
        .bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr();
    let app = Router::new()
        .route("/", route(|peer: Peer| async move { peer.to_string() }))
        .layer(allow(ORDERS));
    let service = app.into_make_service_with_connect_info::<Connection>();
    tokio::spawn(async move { axum::serve(AxumListener::new(listener), service).await });
    address
}

#[tokio::test]
async fn serves_known_peers_over_http1_and_http2() {
    let ca = ca();
    let address = serve_axum(&ca).await;
    let answer = get(&client(orders(&ca), only(PAYMENTS)), address)
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.version),
        (StatusCode::OK, Version::HTTP_2)
    );
    assert_eq!(answer.body, ORDERS);

    let issued = ca.workload("/ns/shop/sa/orders").unwrap();
    let answer = foreign_get(&ca, Some(&issued), address).await.unwrap();
    assert_eq!(
        (answer.status, answer.version),
        (StatusCode::OK, Version::HTTP_11)
    );
    assert_eq!(answer.body, ORDERS);
}

#[tokio::test]
async fn refuses_others_in_the_layer_and_in_the_handshake() {
    let ca = ca();
    let address = serve_axum(&ca).await;
    let other = ca.workload("/ns/shop/sa/other").unwrap();
    let answer = foreign_get(&ca, Some(&other), address).await.unwrap();
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(foreign_get(&ca, None, address).await.is_err());
}
