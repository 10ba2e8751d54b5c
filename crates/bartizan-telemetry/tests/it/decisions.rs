//! Decisions of layers.

use std::convert::Infallible;
use std::sync::Arc;

use bartizan_core::{
    Connection, Enforcement, Entrance, GuardLayer, Peer, PeerIdentity, RouteTable,
    VerifiedCertificate, WallTime,
};
use bartizan_telemetry::{FanOut, MetricsObserver};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::scrape::{Picky, recorded};

/// Sends requests through a layer that is observed by `observer`.
pub(crate) async fn send(
    observer: &MetricsObserver,
    enforcement: Enforcement,
    requests: impl IntoIterator<Item = Request<Full<Bytes>>>,
) {
    let routes = RouteTable::new(["/a/{id}", "/b/{id}", "/shop.Orders/Get"]).unwrap();
    let layer = GuardLayer::new(Picky::new(observer.clone(), enforcement))
        .with_entrance(Entrance::new().with_routes(routes));
    let service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    }));
    for request in requests {
        service.clone().oneshot(request).await.unwrap();
    }
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::new(Bytes::new())).unwrap()
}

fn grpc(path: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/grpc")
        .body(Full::new(Bytes::new()))
        .unwrap()
}

#[tokio::test]
async fn each_decision_is_counted_under_what_was_decided() {
    let (builder, scrape) = recorded();
    let observer = builder.build();
    let requests = || {
        let paths = ["/a/1", "/a/2", "/b/denied", "/a/broken", "/c"];
        paths.map(get).into_iter().chain([grpc("/shop.Orders/Get")])
    };
    send(&observer, Enforcement::Enforce, requests()).await;
    send(&observer, Enforcement::Shadow, requests()).await;
    let check = |outcome, mode, code, protocol, route, expected: f64| {
        let labels = [
            ("layer", "example"),
            ("outcome", outcome),
            ("mode", mode),
            ("code", code),
            ("protocol", protocol),
            ("route", route),
        ];
        let counted = scrape.value("bartizan_decisions_total", &labels);
        assert!((counted - expected).abs() < 0.5, "{labels:?}: {counted}");
    };
    check("allowed", "enforce", "none", "http", "/a/{id}", 2.0);
    check(
        "denied",
        "enforce",
        "example.denied",
        "http",
        "/b/{id}",
        1.0,
    );
    check(
        "could_not_decide",
        "enforce",
        "example.broken",
        "http",
        "/a/{id}",
        1.0,
    );
    check("allowed", "enforce", "none", "http", "none", 1.0);
    check(
        "allowed",
        "enforce",
        "none",
        "grpc",
        "/shop.Orders/Get",
        1.0,
    );
    check(
        "would_have_denied",
        "shadow",
        "example.denied",
        "http",
        "/b/{id}",
        1.0,
    );
    check(
        "could_not_decide",
        "shadow",
        "example.broken",
        "http",
        "/a/{id}",
        1.0,
    );
    check("denied", "shadow", "example.denied", "http", "/b/{id}", 0.0);
    assert_eq!(scrape.series("bartizan_decisions_total"), 10);
}

fn from_peer(name: &str) -> Request<Full<Bytes>> {
    from(PeerIdentity::Spiffe(name.parse().unwrap()))
}

fn from(identity: PeerIdentity) -> Request<Full<Bytes>> {
    let mut request = get("/a/1");
    let peer = Peer::assert_verified(VerifiedCertificate {
        identity,
        certificate_sha256: [0; 32],
        serial: [1].into(),
        not_after: WallTime::MAX,
    });
    let connection = Connection::from_remote(([192, 0, 2, 1], 4711).into());
    request.extensions_mut().insert(connection.with_peer(peer));
    request
}

#[tokio::test]
async fn a_peer_is_on_a_label_only_if_it_is_listed() {
    let (builder, scrape) = recorded();
    let observer = builder
        .allow_peer_label("spiffe://example.org/orders")
        .build();
    let requests = [
        from_peer("spiffe://example.org/orders"),
        from_peer("spiffe://example.org/orders"),
        from_peer("spiffe://example.org/stranger"),
        get("/a/1"),
    ];
    send(&observer, Enforcement::Enforce, requests).await;
    let check = |peer, expected: f64| {
        let counted = scrape.value("bartizan_peer_decisions_total", &[("peer", peer)]);
        assert!((counted - expected).abs() < 0.5, "{peer}: {counted}");
    };
    check("spiffe://example.org/orders", 2.0);
    check("other", 1.0);
    check("none", 1.0);
    assert!(!scrape.text().contains("stranger"));
}

#[tokio::test]
async fn a_peer_of_many_dns_names_is_counted_under_the_listed_one() {
    let (builder, scrape) = recorded();
    let builder = builder.allow_peer_label("orders.example.org");
    let shown = format!("{builder:?}");
    assert!(shown.contains("orders.example.org"), "{shown}");
    let observer = builder.build();
    let of = |names: &[&str]| {
        from(PeerIdentity::Dns(
            names.iter().map(|&it| it.into()).collect(),
        ))
    };
    let requests = [
        of(&["stranger.example.org", "orders.example.org"]),
        of(&["stranger.example.org"]),
        of(&[]),
    ];
    send(&observer, Enforcement::Enforce, requests).await;
    let counted = |peer| scrape.value("bartizan_peer_decisions_total", &[("peer", peer)]);
    assert!((counted("orders.example.org") - 1.0).abs() < 0.5);
    assert!((counted("other") - 2.0).abs() < 0.5);
    assert!(!scrape.text().contains("stranger"));
}

#[tokio::test]
async fn no_peer_is_on_a_label_by_default() {
    let (builder, scrape) = recorded();
    let observer = builder.build();
    let requests = [from_peer("spiffe://example.org/orders")];
    send(&observer, Enforcement::Enforce, requests).await;
    assert!(!scrape.text().contains("spiffe://"));
    assert_eq!(scrape.series("bartizan_peer_decisions_total"), 0);
}

#[tokio::test]
async fn several_observers_hear_the_same() {
    let (first, seen_first) = recorded();
    let (second, seen_second) = recorded();
    let (first, second) = (first.build(), second.build());
    let both = FanOut::new().add(Arc::new(first)).add(Arc::new(second));
    let routes = RouteTable::new(["/a/{id}"]).unwrap();
    let entrance = Entrance::new()
        .with_routes(routes)
        .with_observer(Arc::new(both));
    let layer = GuardLayer::new(Picky::new(recorded().0.build(), Enforcement::Enforce));
    let service =
        layer
            .with_entrance(entrance)
            .layer(service_fn(async |_: Request<Full<Bytes>>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }));
    let response = service.oneshot(get("/a/%2fb")).await.unwrap();
    assert_eq!(response.status(), 400);
    let labels = [("layer", "route"), ("code", "route.ambiguous_path")];
    for scrape in [seen_first, seen_second] {
        let counted = scrape.value("bartizan_decisions_total", &labels);
        assert!((counted - 1.0).abs() < 0.5, "{}", scrape.text());
    }
}
