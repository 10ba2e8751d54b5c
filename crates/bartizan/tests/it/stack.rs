//! What stands where, and that nothing stands elsewhere.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan::Stack;
use bartizan::authz::{AuthzLayer, Callers, Policy, Rule, Targets};
use bartizan::core::{
    Connection, Peer, PeerIdentity, SecurityContext, VerifiedCertificate, WallTime,
};
use bartizan::jwt::{JwtConfig, JwtLayer, KeySet, Rules};
use bartizan::mtls::MtlsLayer;
use bartizan::ratelimit::{
    BanLayer, Bans, DeadlineLayer, IntakeLayer, IntakeRules, Key, LoadLayer, LoadLimit,
    Policy as Limit, Rate, RateLimitConfig, RateLimitConfigBuilder, RateLimitLayer, Settlement,
};
use bartizan_testkit::{Call, Host, ManualClock, SigningAlgorithm, TokenBuilder, TokenMint};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use tower::layer::layer_fn;
use tower::{Layer as _, ServiceExt as _, service_fn};

const ISSUER: &str = "https://issuer.example";
const WEB: &str = "spiffe://example.org/web";

struct Town {
    clock: ManualClock,
    mint: TokenMint,
}

impl Town {
    fn new() -> Self {
        let clock = ManualClock::default();
        let mint = TokenMint::new(ISSUER, SigningAlgorithm::Es256, clock.clone()).unwrap();
        Self { clock, mint }
    }

    fn token(&self) -> TokenBuilder {
        self.mint.token().audience("orders").scope("echo")
    }

    /// Three requests a second of each key.
    fn limit(&self, key: Key) -> RateLimitConfigBuilder {
        RateLimitConfig::builder(key)
            .with_clock(Arc::new(self.clock.clone()))
            .add_policy(Limit::new("burst", Rate::per_second(3)))
    }

    /// Every place filled, the innermost first.
    fn stack(&self) -> Stack {
        let rules = Policy::builder().add(
            Rule::allow("echo")
                .from(Callers::peer(WEB.parse().unwrap()).scope("echo"))
                .to(Targets::method("POST").path("/{*rest}")),
        );
        let keys = KeySet::from_json(&self.mint.jwks().to_string()).unwrap();
        let tokens = JwtConfig::builder(Rules::builder(ISSUER, "orders").build().unwrap())
            .with_keys(keys)
            .with_clock(Arc::new(self.clock.clone()));
        let peers = MtlsLayer::builder()
            .allow_trust_domain("example.org".parse().unwrap())
            .with_clock(Arc::new(self.clock.clone()));
        // A failed authentication costs an address all it has.
        let address = self.limit(Key::address());
        let address = address.with_settlement(|answer| match answer.status.as_u16() {
            401 => Settlement::Charge(2),
            _ => Settlement::Keep,
        });
        let limit = |config: RateLimitConfigBuilder| RateLimitLayer::new(config.build().unwrap());
        let rules = AuthzLayer::builder().with_policy(rules.build().unwrap());
        Stack::new()
            .with_rules(&rules.build().unwrap())
            .with_principal_limit(&limit(self.limit(Key::subject())))
            .with_tokens(&JwtLayer::start(tokens.build().unwrap()).unwrap())
            .with_peer_limit(&limit(self.limit(Key::peer())))
            .with_peers(&peers.build().unwrap())
            .with_address_limit(&limit(address))
            .with_load(&LoadLayer::new(LoadLimit::builder(100).build().unwrap()))
            .with_deadline(&DeadlineLayer::try_new(Duration::from_secs(5)).unwrap())
            .with_intake(&IntakeLayer::new(IntakeRules::builder().build().unwrap()))
            .with_bans(&BanLayer::new(Bans::builder().build().unwrap()))
    }
}

fn peer(id: &str) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(id.parse().unwrap()),
        certificate_sha256: [7; 32],
        serial: vec![1].into(),
        not_after: WallTime::from_unix_seconds(4_000_000_000),
    })
}

fn call(address: &str, id: Option<&str>, token: Option<String>) -> Call {
    let remote = SocketAddr::new(address.parse().unwrap(), 4000);
    let mut connection = Connection::from_remote(remote);
    if let Some(id) = id {
        connection = connection.with_peer(peer(id));
    }
    let call = Call::echo("hello").with_connection(connection);
    match token {
        Some(token) => {
            let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
            call.add_header(AUTHORIZATION, value)
        }
        None => call,
    }
}

#[tokio::test]
async fn every_layer_decides_in_its_place_on_every_host() {
    for host in Host::WITHOUT_SOCKETS {
        let town = Town::new();
        let good = call("192.0.2.1", Some(WEB), Some(town.token().sign().unwrap()));
        let answer = host.send(&town.stack(), &good).await.unwrap();
        assert!(answer.is_success(), "{host:?} {:?}", answer.code());
        let answer = answer.json();
        let decisions = answer["context"]["decisions"].as_array().unwrap();
        let layers: Vec<_> = decisions
            .iter()
            .map(|it| it["layer"].as_str().unwrap())
            .collect();
        let expected = [
            "bans",
            "intake",
            "deadline",
            "load",
            "ratelimit",
            "mtls",
            "ratelimit",
            "jwt",
            "ratelimit",
            "authz",
        ];
        assert_eq!(layers, expected, "{host:?}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_refused_by_whom_it_concerns() {
    let town = Town::new();
    let token = |scope: &str| Some(town.token().scope(scope).sign().unwrap());
    for (call, code) in [
        (call("192.0.2.1", None, token("echo")), "mtls.no_peer"),
        (
            call("192.0.2.2", Some("spiffe://evil.org/web"), token("echo")),
            "mtls.peer_not_allowed",
        ),
        (call("192.0.2.3", Some(WEB), None), "jwt.missing"),
        (call("192.0.2.4", Some(WEB), token("other")), "authz.denied"),
        (
            call(
                "192.0.2.5",
                Some("spiffe://example.org/reports"),
                token("echo"),
            ),
            "authz.denied",
        ),
    ] {
        let answer = Host::Hyper.send(&town.stack(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some(code));
    }
}

#[tokio::test]
async fn a_failed_authentication_charges_the_address_in_one_stack() {
    let town = Town::new();
    let stack = town.stack();
    let send = async |address: &str, token: Option<String>| {
        let call = call(address, Some(WEB), token);
        Host::Hyper.send(&stack, &call).await.unwrap().code()
    };
    let good = || Some(town.token().sign().unwrap());
    assert_eq!(
        send("192.0.2.9", None).await.as_deref(),
        Some("jwt.missing")
    );
    // One for the request, two for the failure: the address has spent its three.
    assert_eq!(
        send("192.0.2.9", good()).await.as_deref(),
        Some("ratelimit.exceeded")
    );
    assert_eq!(send("192.0.2.10", good()).await, None);
}

#[tokio::test]
async fn an_empty_stack_changes_nothing() {
    let context = SecurityContext::new("/echo".parse().unwrap());
    let call = Call::echo("hello").add_extension(context.clone());
    let answer = Host::Hyper.send(&Stack::new(), &call).await.unwrap();
    assert!(answer.is_success());
    assert!(context.decisions().is_empty());
    assert_eq!(format!("{:?}", Stack::new()), "{}");
}

/// A layer that marks the response as it passes out.
fn mark(name: &'static str) -> impl Clone + tower::Layer<Marked, Service = Marked> {
    layer_fn(move |inner: Marked| {
        let service = inner.map_response(move |mut response: Response<Full<Bytes>>| {
            let value = HeaderValue::from_static(name);
            response.headers_mut().append("x-mark", value);
            response
        });
        tower::util::BoxCloneService::new(service)
    })
}

type Marked = tower::util::BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

#[tokio::test]
async fn what_is_inside_stands_next_to_the_handler_in_the_order_of_the_calls() {
    let handler = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let stack = Stack::new().inside(mark("first")).inside(mark("second"));
    let service = stack.layer(Marked::new(handler));
    let response = service
        .oneshot(Request::new(Full::default()))
        .await
        .unwrap();
    let marks: Vec<_> = response.headers().get_all("x-mark").iter().collect();
    assert_eq!(marks, ["second", "first"]);
}
