//! Decisions over many rules, beside the engines that a service would take instead: Cedar, casbin
//! and regorus. All of them are given the same policy, each as its users would write it, and are
//! held against one table of requests before anything is measured.
//!
//! The others are given their requests ready made, and are asked for the decision alone.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and may panic"
)]

use std::collections::HashSet;
use std::hint::black_box;
use std::str::FromStr as _;

use bartizan_authz::{Callers, Condition, Fact, Facts, Policy, Rule, Ruling, Targets};
use bartizan_benches::Comparison;
use bartizan_core::{Peer, PeerIdentity, Principal, Scheme, VerifiedCertificate, WallTime};
use casbin::CoreApi as _;
use cedar_policy::{Authorizer, Context, Entities, Entity, EntityUid, PolicySet, Request};

/// Routes with two rules each: who has the scope to read may `GET`, who has that to write `POST`.
const ROUTES: usize = 450;
/// Rules about every path: half of them deny a workload everything, half allow one.
const GLOBAL: usize = 100;

const SCOPES: [&str; 4] = ["openid", "profile", "resource220:read", "resource300:read"];

/// A request, and what is to become of it.
#[derive(Clone, Copy)]
struct Asked {
    peer: &'static str,
    alice: bool,
    method: &'static str,
    resource: usize,
    allowed: bool,
}

const fn asked(
    peer: &'static str,
    alice: bool,
    method: &'static str,
    resource: usize,
    allowed: bool,
) -> Asked {
    Asked {
        peer,
        alice,
        method,
        resource,
        allowed,
    }
}

const WEB: &str = "ns/shop/sa/web";

const TABLE: [Asked; 12] = [
    asked(WEB, true, "GET", 300, true),
    asked(WEB, true, "GET", 301, false),
    asked(WEB, true, "GET", 220, true),
    asked(WEB, true, "POST", 300, false),
    asked(WEB, true, "DELETE", 300, false),
    asked(WEB, false, "GET", 300, false),
    asked("ns/2/sa/app", true, "GET", 300, false),
    asked("ns/2/sa/app", false, "GET", 300, false),
    asked("ns/3/sa/app", true, "GET", 300, true),
    asked("ns/3/sa/app", false, "DELETE", 7, true),
    asked("ns/99/sa/app", false, "POST", 449, true),
    asked("ns/101/sa/app", false, "POST", 449, false),
];

impl Asked {
    fn path(self) -> String {
        format!("/api/v1/resource{}/7", self.resource)
    }
}

fn route(number: usize) -> String {
    format!("/api/v1/resource{number}/{{id}}")
}

fn peer(path: &str) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(format!("spiffe://example.org/{path}").parse().unwrap()),
        certificate_sha256: [7; 32],
        serial: vec![1].into(),
        not_after: WallTime::from_unix_seconds(4_000_000_000),
    })
}

fn alice() -> Principal {
    let alice = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice");
    alice
        .with_scopes(SCOPES)
        .with_client("app")
        .assert_verified()
}

fn route_rules() -> impl Iterator<Item = Rule> {
    (0..ROUTES).flat_map(|number| {
        [("GET", "read"), ("POST", "write")].map(|(method, verb)| {
            Rule::allow(&format!("{method} {number}"))
                .from(Callers::anybody().scope(&format!("resource{number}:{verb}")))
                .to(Targets::method(method).path(&route(number)))
        })
    })
}

fn rule(number: usize, kind: &str) -> Rule {
    match number % 2 {
        0 => Rule::deny(&format!("{kind} {number}")),
        _ => Rule::allow(&format!("{kind} {number}")),
    }
}

fn global_rules() -> impl Iterator<Item = Rule> {
    (0..GLOBAL).map(|number| {
        let id = format!("spiffe://example.org/ns/{number}/sa/app")
            .parse()
            .unwrap();
        rule(number, "global").from(Callers::peer(id))
    })
}

/// As many rules of which nothing can be known but by looking at them: no path, no caller.
fn blind_rules() -> impl Iterator<Item = Rule> {
    (0..GLOBAL).map(|number| {
        rule(number, "blind").to(Targets::anything().host(&format!("*.tenant{number}.example")))
    })
}

/// The same by conditions on texts, as policies of meshes have them.
fn condition_rules() -> impl Iterator<Item = Rule> {
    (0..GLOBAL).map(|number| {
        let namespace = format!("tenant{number}-*");
        rule(number, "condition").when(Condition::on(Fact::Namespace).one_of([namespace.as_str()]))
    })
}

fn policy(rules: impl Iterator<Item = Rule>) -> Policy {
    rules
        .fold(Policy::builder(), |all, rule| all.add(rule))
        .build()
        .unwrap()
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_str(&format!("{kind}::\"{id}\"")).unwrap()
}

fn cedar_policy() -> PolicySet {
    let mut text = String::new();
    for number in 0..ROUTES {
        for (method, verb) in [("GET", "read"), ("POST", "write")] {
            text += &format!(
                "permit(principal, action == Action::\"{method}\", resource == Route::\"{number}\") \
                 when {{ context.scopes.contains(\"resource{number}:{verb}\") }};\n"
            );
        }
    }
    for number in 0..GLOBAL {
        let effect = if number % 2 == 0 { "forbid" } else { "permit" };
        text +=
            &format!("{effect}(principal == Peer::\"ns/{number}/sa/app\", action, resource);\n");
    }
    PolicySet::from_str(&text).unwrap()
}

fn cedar_request(asked: Asked) -> (Request, Entities) {
    let scopes = if asked.alice { SCOPES.as_slice() } else { &[] };
    let context = serde_json::json!({ "scopes": scopes }).to_string();
    let principal = uid("Peer", asked.peer);
    let request = Request::new(
        principal.clone(),
        uid("Action", asked.method),
        uid("Route", &asked.resource.to_string()),
        Context::from_json_str(&context, None).unwrap(),
        None,
    );
    let entity = Entity::new_no_attrs(principal, HashSet::new());
    (
        request.unwrap(),
        Entities::from_entities([entity], None).unwrap(),
    )
}

/// Role-based, as casbin's users write it: each scope is a role that the subject has.
fn casbin() -> casbin::Enforcer {
    const MODEL: &str = r#"
[request_definition]
r = sub, peer, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (r.peer == p.sub || g(r.sub, p.sub)) && (p.act == "*" || r.act == p.act) && keyMatch2(r.obj, p.obj)
"#;
    let mut lines = String::new();
    for number in 0..ROUTES {
        for (method, verb) in [("GET", "read"), ("POST", "write")] {
            lines += &format!(
                "p, resource{number}:{verb}, /api/v1/resource{number}/:id, {method}, allow\n"
            );
        }
    }
    for number in 0..GLOBAL {
        let effect = if number % 2 == 0 { "deny" } else { "allow" };
        lines += &format!("p, ns/{number}/sa/app, /*, *, {effect}\n");
    }
    for scope in SCOPES {
        lines += &format!("g, alice, {scope}\n");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let model = casbin::DefaultModel::from_str(MODEL).await.unwrap();
        casbin::Enforcer::new(model, casbin::StringAdapter::new(lines))
            .await
            .unwrap()
    })
}

/// The rules as data, looked up by route and method: what Rego's users write for speed.
fn rego() -> regorus::Engine {
    let mut routes = serde_json::Map::new();
    for number in 0..ROUTES {
        let scopes = serde_json::json!({
            "GET": format!("resource{number}:read"), "POST": format!("resource{number}:write"),
        });
        routes.insert(format!("resource{number}"), scopes);
    }
    let (mut denied, mut allowed) = (serde_json::Map::new(), serde_json::Map::new());
    for number in 0..GLOBAL {
        let of = if number % 2 == 0 {
            &mut denied
        } else {
            &mut allowed
        };
        of.insert(format!("ns/{number}/sa/app"), true.into());
    }
    let data = serde_json::json!({ "routes": routes, "denied": denied, "allowed": allowed });
    let mut engine = regorus::Engine::new();
    let module = "
package authz
import rego.v1
default allow := false
allow if {
    not data.denied[input.peer]
    data.allowed[input.peer]
}
allow if {
    not data.denied[input.peer]
    parts := split(input.path, \"/\")
    count(parts) == 5
    data.routes[parts[3]][input.method] in input.scopes
}
";
    engine
        .add_policy("authz.rego".into(), module.into())
        .unwrap();
    engine.add_data_json(&data.to_string()).unwrap();
    engine
}

fn rego_input(asked: Asked) -> regorus::Value {
    let scopes = if asked.alice { SCOPES.as_slice() } else { &[] };
    let input = serde_json::json!({
        "peer": asked.peer, "method": asked.method, "path": asked.path(), "scopes": scopes,
    });
    regorus::Value::from_json_str(&input.to_string()).unwrap()
}

fn main() {
    let indexed = policy(route_rules().chain(global_rules()));
    let blind = policy(route_rules().chain(blind_rules()));
    let conditions = policy(route_rules().chain(condition_rules()));
    let (cedar, authorizer) = (cedar_policy(), Authorizer::new());
    let enforcer = casbin();
    let mut engine = rego();
    let alice = alice();

    for asked in TABLE {
        let (peer, path) = (peer(asked.peer), asked.path());
        let mut facts = Facts::new(asked.method, &path);
        facts.peer = Some(&peer);
        facts.principal = asked.alice.then_some(&alice);
        let told = format!(
            "{} {path} by {} for alice: {}",
            asked.method, asked.peer, asked.alice
        );
        let ours = matches!(indexed.decide(&facts, &mut |_| {}), Ruling::Allowed(_));
        assert_eq!(ours, asked.allowed, "bartizan-authz: {told}");
        let (request, entities) = cedar_request(asked);
        let decision = authorizer
            .is_authorized(&request, &cedar, &entities)
            .decision();
        assert_eq!(
            decision == cedar_policy::Decision::Allow,
            asked.allowed,
            "cedar: {told}"
        );
        let subject = if asked.alice { "alice" } else { "nobody" };
        let enforced = enforcer.enforce((subject, asked.peer, path.as_str(), asked.method));
        assert_eq!(enforced.unwrap(), asked.allowed, "casbin: {told}");
        engine.set_input(rego_input(asked));
        let value = engine.eval_rule("data.authz.allow".into()).unwrap();
        assert_eq!(
            value,
            regorus::Value::from(asked.allowed),
            "regorus: {told}"
        );
    }
    println!("{} requests are decided alike by all four", TABLE.len());

    let (web, good, bad) = (peer(WEB), TABLE[0], TABLE[1]);
    let (good_path, bad_path) = (good.path(), bad.path());
    let facts = |path| {
        let mut facts = Facts::new("GET", path);
        facts.peer = Some(&web);
        facts.principal = Some(&alice);
        facts.host = Some("shop.example");
        facts
    };
    let (good_facts, bad_facts) = (facts(&*good_path), facts(&*bad_path));
    let decide = |policy: &Policy, facts: &Facts<'_>| policy.decide(facts, &mut |_| {});
    for policy in [&indexed, &blind, &conditions] {
        assert!(matches!(decide(policy, &good_facts), Ruling::Allowed(_)));
        assert_eq!(decide(policy, &bad_facts), Ruling::Denied(None));
    }
    let (request, entities) = cedar_request(good);
    let input = rego_input(good);

    let mut comparison = Comparison::new("900 rules of routes and 100 of workloads, one decision");
    comparison.case("bartizan-authz, allowed", || {
        decide(black_box(&indexed), black_box(&good_facts))
    });
    comparison.case("bartizan-authz, denied", || {
        decide(black_box(&indexed), black_box(&bad_facts))
    });
    comparison.case("bartizan-authz, 100 rules by host alone, denied", || {
        decide(black_box(&blind), black_box(&bad_facts))
    });
    comparison.case(
        "bartizan-authz, 100 rules by namespace prefix alone, denied",
        || decide(black_box(&conditions), black_box(&bad_facts)),
    );
    comparison.case("regorus, rules as data", move || {
        engine.set_input(input.clone());
        engine.eval_rule("data.authz.allow".into()).unwrap()
    });
    comparison.case("cedar-policy", || {
        authorizer
            .is_authorized(&request, &cedar, &entities)
            .decision()
    });
    comparison.case("casbin", || {
        enforcer
            .enforce(("alice", WEB, good_path.as_str(), "GET"))
            .unwrap()
    });
    comparison.run();
}
