//! Mutual TLS at both ends of the gateway.

use bartizan::mtls::{MtlsLayer, MtlsListener};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::Value;
use tower::Layer as _;

use crate::grpc::material;
use crate::support::{Town, echo};

#[tokio::test]
async fn the_upstream_is_told_which_workload_asks() {
    let town = Town::new().await;
    let gate = town.start(&town.tls(echo().await)).await;
    let url = gate.url("/internal/a").replace("http://", "https://");
    let web = town.client(Some(&town.ca.workload("/web").unwrap()));
    let reports = town.client(Some(&town.ca.workload("/reports").unwrap()));

    let request = web
        .get(&url)
        .header("x-bartizan-peer", "spiffe://example.org/admin");
    let text = request.send().await.unwrap().text().await.unwrap();
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen["x-bartizan-peer"], "spiffe://example.org/web");
    assert_eq!(seen["x-forwarded-proto"], "https");

    let refused = reports.get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(
        town.client(None).get(&url).send().await.is_err(),
        "no certificate"
    );
}

#[tokio::test]
async fn whoever_has_no_certificate_may_come_where_that_was_said() {
    let town = Town::new().await;
    let text = town
        .tls(echo().await)
        .replace("peers =", "allow_no_certificate = true\npeers =");
    let gate = town.start(&text).await;
    let url = |path: &str| gate.url(path).replace("http://", "https://");
    let nobody = town.client(None);
    assert_eq!(
        nobody.get(url("/open/a")).send().await.unwrap().status(),
        200
    );
    assert_eq!(
        nobody
            .get(url("/internal/a"))
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    let web = town.client(Some(&town.ca.workload("/web").unwrap()));
    assert_eq!(
        web.get(url("/internal/a")).send().await.unwrap().status(),
        200
    );
}

/// A service that only the gateway may call.
async fn behind(town: &Town, path: &str) -> std::net::SocketAddr {
    let certificate = town.ca.workload(path).unwrap();
    let listener = MtlsListener::builder(material(town, &certificate));
    let listener = listener.bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let layer = MtlsLayer::builder().allow_peer("spiffe://example.org/gateway".parse().unwrap());
    let service = tower::service_fn(async |_: Request<Incoming>| {
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("from behind"))))
    });
    let service = layer.build().unwrap().layer(service);
    tokio::spawn(bartizan::mtls::serve(listener, service).into_future());
    address
}

#[tokio::test]
async fn gateway_and_upstream_prove_to_each_other_who_they_are() {
    let town = Town::new().await;
    for (path, status) in [("/shop", 200), ("/impostor", 502)] {
        let text = town.tls(behind(&town, path).await);
        let identity = "identity = \"spiffe://example.org/shop\"\nresponse_seconds";
        let gate = town
            .start(&text.replace("response_seconds", identity))
            .await;
        let web = town.client(Some(&town.ca.workload("/web").unwrap()));
        let url = gate.url("/internal/a").replace("http://", "https://");
        let answer = web.get(url).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let text = answer.text().await.unwrap();
        let says = if status == 200 {
            "from behind"
        } else {
            "gateway.upstream_unreachable"
        };
        assert!(text.contains(says), "{path}: {text}");
    }
}
