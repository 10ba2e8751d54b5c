//! The whole stack over a bare service, and a decision among a thousand rules by itself. Exits
//! with an error past its bound on allocations.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and may panic"
)]

mod support;

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

use bartizan::Stack;
use bartizan_audit::{AuditConfig, AuditLayer, Ledger};
use bartizan_authz::{AuthzLayer, Callers, Facts, Policy, Rule, Ruling, Targets};
use bartizan_benches::Comparison;
use bartizan_core::{Entrance, Peer, Principal, RouteTable, Scheme};
use bartizan_ratelimit::{Key, Policy as Limit, Rate, RateLimitConfig, RateLimitLayer};
use bartizan_testkit::SigningAlgorithm;
use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body::Body;
use http_body_util::Empty;
use tower::{Layer as _, Service};

use support::{Bare, connection, jwt_cached, mint, mtls, request, send, token};

/// Allocations that the whole stack may make for an accepted request.
const MOST_ALLOCATIONS: u64 = 8;

/// Routes with two rules each: who has the scope to read may `GET`, who has that to write `POST`.
const ROUTES: usize = 450;
/// Rules about every path: half of them deny a workload everything, half allow one.
const GLOBAL: usize = 100;

/// Sends a request, and reads the response to its end.
fn drain<S, B>(service: &mut S, request: Request<Empty<Bytes>>) -> u16
where
    S: Service<Request<Empty<Bytes>>, Response = http::Response<B>, Error = Infallible>,
    B: Body,
{
    let response = send(service, request);
    let status = response.status().as_u16();
    let mut body = pin!(response.into_body());
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(_)) = body.as_mut().poll_frame(&mut cx) {}
    status
}

fn limit(key: Key) -> RateLimitLayer {
    let config = RateLimitConfig::builder(key)
        .add_policy(Limit::new("burst", Rate::per_second(10_000_000)))
        .with_coarse_clock();
    RateLimitLayer::new(config.build().unwrap())
}

fn route_rules() -> impl Iterator<Item = Rule> {
    (0..ROUTES).flat_map(|number| {
        [("GET", "read"), ("POST", "write")].map(|(method, verb)| {
            Rule::allow(&format!("{method} {number}"))
                .from(Callers::anybody().scope(&format!("resource{number}:{verb}")))
                .to(Targets::method(method).path(&format!("/api/v1/resource{number}/{{id}}")))
        })
    })
}

fn global_rules() -> impl Iterator<Item = Rule> {
    (0..GLOBAL).map(|number| {
        let id = format!("spiffe://example.org/ns/{number}/sa/app").parse();
        let rule = match number % 2 {
            0 => Rule::deny(&format!("global {number}")),
            _ => Rule::allow(&format!("global {number}")),
        };
        rule.from(Callers::peer(id.unwrap()))
    })
}

/// As many rules of which nothing can be known but by looking at them.
fn blind_rules() -> impl Iterator<Item = Rule> {
    (0..GLOBAL).map(|number| {
        let rule = match number % 2 {
            0 => Rule::deny(&format!("blind {number}")),
            _ => Rule::allow(&format!("blind {number}")),
        };
        rule.to(Targets::anything().host(&format!("*.tenant{number}.example")))
    })
}

fn policy(rules: impl Iterator<Item = Rule>) -> Policy {
    let builder = rules.fold(Policy::builder(), |all, rule| all.add(rule));
    builder.build().unwrap()
}

fn decisions(peer: &Peer) {
    let alice = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice");
    let scopes = ["openid", "profile", "resource220:read", "resource300:read"];
    let alice = alice
        .with_scopes(scopes)
        .with_client("app")
        .assert_verified();
    let facts = |path: &'static str| {
        let mut facts = Facts::new("GET", path);
        facts.peer = Some(peer);
        facts.principal = Some(&alice);
        facts.host = Some("shop.example");
        facts
    };
    let good = facts("/api/v1/resource300/7");
    let bad = facts("/api/v1/resource301/7");
    let indexed = policy(route_rules().chain(global_rules()));
    let blind = policy(route_rules().chain(blind_rules()));
    let decide = |policy: &Policy, facts: &Facts<'_>| policy.decide(facts, &mut |_| {});
    assert!(matches!(decide(&indexed, &good), Ruling::Allowed(_)));
    assert_eq!(decide(&indexed, &bad), Ruling::Denied(None));
    assert!(matches!(decide(&blind, &good), Ruling::Allowed(_)));

    let mut comparison = Comparison::new("A decision among 900 rules of routes and 100 others");
    comparison.case("allowed; the others by workload", || {
        decide(black_box(&indexed), black_box(&good))
    });
    comparison.case("denied", || decide(black_box(&indexed), black_box(&bad)));
    comparison.case("allowed; the others by host alone", || {
        decide(black_box(&blind), black_box(&good))
    });
    comparison.run();
}

fn main() -> ExitCode {
    let mint = mint(SigningAlgorithm::Rs256);
    let bearer: HeaderValue = format!("Bearer {}", token(&mint)).parse().unwrap();
    let connection = connection();
    let ready = || request(&bearer, &connection);

    let orders = Rule::allow("orders")
        .from(Callers::peer("spiffe://example.org/web".parse().unwrap()).scope("orders:read"))
        .to(Targets::method("GET").path("/orders/{id}"));
    let rules = policy(route_rules().chain(global_rules()).chain([orders]));
    let rules = AuthzLayer::builder().with_policy(rules).build().unwrap();
    let routes = || Entrance::new().with_routes(RouteTable::new(["/orders/{id}"]).unwrap());
    let stack = Stack::new()
        .with_entrance(routes())
        .with_address_limit(&limit(Key::address()))
        .with_peers(&mtls())
        .with_peer_limit(&limit(Key::peer()))
        .with_tokens(&jwt_cached(&mint))
        .with_principal_limit(&limit(Key::subject()))
        .with_rules(&rules);

    let folder = std::env::temp_dir().join(format!("bartizan-bench-{}", std::process::id()));
    let ledger = Ledger::builder(&folder, "bench.example/audit")
        .open()
        .unwrap();
    let log = AuditConfig::builder(ledger.clone()).build().unwrap();
    let log = AuditLayer::new(log).with_entrance(routes());

    let mut bare = Bare;
    let mut guards = stack.clone().layer(Bare);
    let mut whole = stack.around(log).layer(Bare);
    assert_eq!(drain(&mut guards, ready()), 200);
    assert_eq!(drain(&mut whole, ready()), 200);

    let made = allocation_counter::measure(|| drop(ready())).count_total;
    let bare_count = allocation_counter::measure(|| {
        drain(&mut bare, ready());
    })
    .count_total;
    let count = allocation_counter::measure(|| {
        drain(&mut whole, ready());
    })
    .count_total;
    let beyond = count - bare_count;
    println!(
        "allocations of the whole stack beyond the bare service: {beyond}, at most {MOST_ALLOCATIONS} (the request itself: {made})"
    );

    let mut comparison = Comparison::new("The whole stack over a bare service, body drained");
    comparison.case("bare service", || drain(&mut bare, ready()));
    comparison.case("limits, peer, token, rules", || drain(&mut guards, ready()));
    comparison.case("the same and the audit log", || drain(&mut whole, ready()));
    comparison.run();
    drop(whole);
    let report = ledger.shutdown_blocking(std::time::Duration::from_secs(60));
    println!("audit log: {:?}", report.totals);
    let _ = std::fs::remove_dir_all(&folder);

    decisions(connection.peer().unwrap());
    ExitCode::from(u8::from(beyond > MOST_ALLOCATIONS))
}
