//! A whole stack, and what Prometheus sees of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bartizan::Stack;
use bartizan::authz::{AuthzLayer, Callers, Policy, Rule, Targets};
use bartizan::core::{
    Connection, Entrance, Observe, Peer, PeerIdentity, RouteTable, VerifiedCertificate, WallTime,
};
use bartizan::jwt::{JwtConfig, JwtLayer, KeySet, Rules};
use bartizan::mtls::MtlsLayer;
use bartizan::ratelimit::{Key, Policy as Limit, Rate, RateLimitConfig, RateLimitLayer};
use bartizan::telemetry::{MeterLayer, MetricsObserver};
use bartizan_testkit::{ManualClock, SigningAlgorithm, TokenMint};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::{Layer as _, ServiceExt as _, service_fn};

const ISSUER: &str = "https://issuer.example";

fn stack(clock: &ManualClock, mint: &TokenMint, observer: Arc<dyn Observe>) -> Stack {
    let rules = Policy::builder().add(
        Rule::allow("readers")
            .from(Callers::anybody().scope("orders:read"))
            .to(Targets::method("GET").path("/orders/{id}")),
    );
    let rules = AuthzLayer::builder()
        .with_policy(rules.build().unwrap())
        .with_observer(Arc::clone(&observer));
    let tokens = JwtConfig::builder(Rules::builder(ISSUER, "orders").build().unwrap())
        .with_keys(KeySet::from_json(&mint.jwks().to_string()).unwrap())
        .with_clock(Arc::new(clock.clone()))
        .with_observer(Arc::clone(&observer));
    let peers = MtlsLayer::builder()
        .allow_trust_domain("example.org".parse().unwrap())
        .with_clock(Arc::new(clock.clone()))
        .with_observer(Arc::clone(&observer));
    let limit = RateLimitConfig::builder(Key::address())
        .add_policy(Limit::new("address", Rate::per_second(2)))
        .with_clock(Arc::new(clock.clone()))
        .with_observer(observer);
    Stack::new()
        .with_address_limit(&RateLimitLayer::new(limit.build().unwrap()))
        .with_peers(&peers.build().unwrap())
        .with_tokens(&JwtLayer::start(tokens.build().unwrap()).unwrap())
        .with_rules(&rules.build().unwrap())
}

fn request(address: &str, peer: bool, token: Option<&str>) -> Request<Full<Bytes>> {
    let mut connection = Connection::from_remote(SocketAddr::new(address.parse().unwrap(), 4000));
    if peer {
        connection = connection.with_peer(Peer::assert_verified(VerifiedCertificate {
            identity: PeerIdentity::Spiffe("spiffe://example.org/web".parse().unwrap()),
            certificate_sha256: [7; 32],
            serial: vec![1].into(),
            not_after: WallTime::from_unix_seconds(4_000_000_000),
        }));
    }
    let mut request = Request::get("/orders/7").extension(connection);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Full::new(Bytes::new())).unwrap()
}

#[tokio::test]
async fn prometheus_sees_who_decided_what_and_why() {
    let clock = ManualClock::default();
    let mint = TokenMint::new(ISSUER, SigningAlgorithm::Es256, clock.clone()).unwrap();
    let token = |scope: &str| mint.token().audience("orders").scope(scope).sign().unwrap();
    let (reader, other) = (token("orders:read"), token("other"));

    let recorder = PrometheusBuilder::new().build_recorder();
    let scrape = recorder.handle();
    let observer = Arc::new(MetricsObserver::builder(recorder).build());
    let routes = RouteTable::new(["/orders/{id}"]).unwrap();
    let service = MeterLayer::new(observer.clone())
        .with_entrance(Entrance::new().with_routes(routes))
        .layer(stack(&clock, &mint, observer).layer(service_fn(
            async |_: Request<Full<Bytes>>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            },
        )));

    for (request, status) in [
        (request("192.0.2.1", true, Some(&reader)), 200),
        (request("192.0.2.2", true, Some(&other)), 403),
        (request("192.0.2.3", true, None), 401),
        (request("192.0.2.4", false, Some(&reader)), 401),
        (request("192.0.2.5", true, Some(&reader)), 200),
        (request("192.0.2.5", true, Some(&reader)), 200),
        (request("192.0.2.5", true, Some(&reader)), 429),
    ] {
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
    }

    let text = scrape.render();
    let decided = |layer: &str, outcome: &str, code: &str, times: u32| {
        let line = format!(
            "bartizan_decisions_total{{layer=\"{layer}\",outcome=\"{outcome}\",mode=\"enforce\",\
             code=\"{code}\",protocol=\"http\",route=\"/orders/{{id}}\"}} {times}\n"
        );
        assert!(text.contains(&line), "{line} is in\n{text}");
    };
    decided("ratelimit", "allowed", "none", 6);
    decided("ratelimit", "denied", "ratelimit.exceeded", 1);
    decided("mtls", "allowed", "none", 5);
    decided("mtls", "denied", "mtls.no_peer", 1);
    decided("jwt", "allowed", "none", 4);
    decided("jwt", "denied", "jwt.missing", 1);
    decided("authz", "allowed", "none", 3);
    decided("authz", "denied", "authz.denied", 1);
    for (status, times) in [("200", 3), ("401", 2), ("403", 1), ("429", 1)] {
        let line = format!(
            "bartizan_request_duration_seconds_count{{protocol=\"http\",method=\"GET\",\
             route=\"/orders/{{id}}\",status=\"{status}\"}} {times}\n"
        );
        assert!(text.contains(&line), "{line} is in\n{text}");
    }
    for secret in [
        reader.as_str(),
        other.as_str(),
        "192.0.2.",
        "spiffe://",
        "alice",
    ] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
}
