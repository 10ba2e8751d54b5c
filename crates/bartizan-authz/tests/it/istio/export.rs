//! Policies of ours, written for Istio and read again.

use bartizan_authz::{
    Callers, Condition, Effect, Fact, Facts, IstioExport, IstioImport, Policy, ReadHeaders, Rule,
    Ruling, Targets,
};
use bartizan_core::{Peer, Principal};
use proptest::prelude::*;

use crate::support::{ISSUER, alice, peer, policy};

fn export(policy: &Policy) -> String {
    IstioExport::new("shop", "orders")
        .write(policy)
        .unwrap()
        .text
}

fn again(policy: &Policy) -> Policy {
    let text = export(policy);
    let imported = IstioImport::new().read(&text);
    imported
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .policy
}

#[test]
fn a_rule_is_a_policy_of_its_own() {
    let rules = [
        Rule::allow("Web reads")
            .from(
                Callers::peer("spiffe://a.org/ns/shop/sa/web".parse().unwrap())
                    .scope("orders:read"),
            )
            .to(Targets::method("GET").path("/orders/{id}")),
        Rule::deny("no admin")
            .to(Targets::any_method("/admin/{*rest}"))
            .in_shadow(),
    ];
    let exported = IstioExport::new("shop", "orders").with_labels([("app", "orders")]);
    let exported = exported.write(&policy(rules)).unwrap();
    let expected = r#"# Istio compares paths with regard to case: what it is to deny or to except it does not where case differs
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: "orders-000-web-reads"
  namespace: "shop"
  annotations:
    bartizan.rs/rule: "Web reads"
    bartizan.rs/every-spelling: "true"
spec:
  selector:
    matchLabels:
      "app": "orders"
  action: ALLOW
  rules:
  - from:
    - source:
        principals: ["a.org/ns/shop/sa/web"]
    to:
    - operation:
        methods: ["GET"]
        paths: ["/orders/{*}"]
    when:
    - key: "request.auth.claims[scope]"
      values: ["orders:read"]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: "orders-001-no-admin"
  namespace: "shop"
  annotations:
    bartizan.rs/rule: "no admin"
    bartizan.rs/every-spelling: "true"
    istio.io/dry-run: "true"
spec:
  selector:
    matchLabels:
      "app": "orders"
  action: DENY
  rules:
  - to:
    - operation:
        paths: ["/admin/", "/admin", "/admin/*"]
"#;
    assert_eq!(exported.text, expected);
    assert_eq!(exported.notes.len(), 1);
}

#[test]
fn what_cannot_be_said_is_an_error_that_names_the_rule() {
    let id = |text: &str| Callers::peer(text.parse().unwrap());
    for (rule, expected) in [
        (
            Rule::allow("it").from(id("spiffe://a.org/ns/*/sa/web")),
            "`*` for one segment",
        ),
        (
            Rule::allow("it").from(Callers::anybody().scope("orders:*")),
            "would be a wildcard",
        ),
        (
            Rule::allow("it").from(Callers::anybody().subject(ISSUER, "a/b")),
            "cut at its slash",
        ),
        (
            Rule::allow("it").to(Targets::anything().host("*.a.org")),
            "without ports",
        ),
        (
            Rule::allow("it").from(
                Callers::anybody()
                    .when(Condition::on(Fact::Claim(vec!["a]b".into()])).one_of(["x"])),
            ),
            "brackets",
        ),
        (
            Rule::allow("it")
                .to(Targets::method("GET"))
                .when(Condition::on(Fact::Method).one_of(["P*"])),
            "two conditions on methods",
        ),
        (
            Rule::deny("it").to(Targets::anything().except_path("/a/{x}/{*rest}")),
            "an exception in front of",
        ),
    ] {
        let policy = policy([rule, Rule::allow("other")]);
        let error = IstioExport::new("shop", "orders")
            .write(&policy)
            .unwrap_err();
        assert_eq!(error.rule, "it");
        assert!(error.problem.contains(expected), "{error}");
    }
}

#[test]
fn nothing_is_allowed_there_where_nothing_is_here() {
    let closed = Policy::builder().allow_nothing().build().unwrap();
    let imported = IstioImport::new().read(&export(&closed)).unwrap();
    assert!(imported.policy.allows_nothing());
}

fn names(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(values.to_vec())
}

fn condition() -> impl Strategy<Value = Condition> {
    let pairs: Vec<(Fact, &[&str])> = vec![
        (
            Fact::Peer,
            &["a.org/ns/*", "*/sa/x", "*", "b.org/ns/bank/sa/y"],
        ),
        (Fact::Namespace, &["shop", "b*", "*nk"]),
        (Fact::ServiceAccount, &["shop/x", "bank/y"]),
        (Fact::TrustDomain, &["a.org", "b*"]),
        (
            Fact::Principal,
            &["*", "https://issuer.example/al*", "*/bob"],
        ),
        (Fact::Issuer, &[ISSUER, "https://*"]),
        (Fact::Subject, &["alice", "*b"]),
        (Fact::Client, &["app", "*"]),
        (Fact::Scope, &["read", "wr*"]),
        (Fact::Role, &["clerk", "*"]),
        (Fact::Header("x-tenant".into()), &["acme", "a*", "*", "b,b"]),
        (Fact::ClientAddress, &["10.0.0.0/8", "192.0.2.1"]),
        (Fact::SourceAddress, &["10.0.0.0/8", "192.0.2.1"]),
        (Fact::DestinationAddress, &["192.0.2.2"]),
        (Fact::DestinationPort, &["8443", "80"]),
        (Fact::ServerName, &["a.test", "*.test", "*"]),
    ];
    let one = prop::sample::select(pairs);
    (one, any::<prop::sample::Index>(), 0..3_u8).prop_map(|((fact, values), at, kind)| {
        let value = at.get(values);
        let condition = Condition::on(fact);
        match kind {
            0 => condition.one_of([*value]),
            1 => condition.none_of([*value]),
            _ => condition.one_of(values.iter().copied()).none_of([*value]),
        }
    })
}

fn plain_callers() -> impl Strategy<Value = Callers> {
    let peers = names(&[
        "spiffe://a.org/ns/shop/sa/x",
        "spiffe://a.org/ns/**",
        "spiffe://b.org/**",
    ]);
    (
        prop::option::weighted(0.4, peers),
        prop::option::weighted(0.2, names(&["a.org", "b.org"])),
        prop::option::weighted(0.3, names(&["read", "write"])),
        prop::option::weighted(0.3, names(&["read", "write"])),
        prop::option::weighted(0.2, Just("clerk")),
        prop::option::weighted(0.3, names(&["alice", "bob"])),
        prop::option::weighted(0.2, names(&["app", "other"])),
        prop::option::weighted(0.2, names(&["10.0.0.0/8", "192.0.2.0/24"])),
        prop::option::weighted(0.3, any::<bool>()),
        prop::collection::vec(condition(), 0..2),
    )
        .prop_map(
            |(id, domain, all, some, role, subject, client, network, authenticated, when)| {
                let mut callers = match authenticated {
                    None => Callers::anybody(),
                    Some(true) => Callers::authenticated(),
                    // Nobody is anonymous and has a scope.
                    Some(false) => return Callers::anonymous(),
                };
                if let Some(pattern) = id {
                    callers = callers.or_peer(pattern.parse().unwrap());
                }
                if let Some(domain) = domain {
                    callers = callers.or_trust_domain(domain.parse().unwrap());
                }
                if let Some(scope) = all {
                    callers = callers.scope(scope);
                }
                callers = callers.any_scope(some);
                if let Some(role) = role {
                    callers = callers.role(role);
                }
                if let Some(subject) = subject {
                    callers = callers.subject(ISSUER, subject).issuer(ISSUER);
                }
                if let Some(client) = client {
                    callers = callers.client(client);
                }
                if let Some(network) = network {
                    callers = callers.network(network.parse().unwrap());
                }
                when.into_iter().fold(callers, Callers::when)
            },
        )
}

fn callers() -> impl Strategy<Value = Callers> {
    (
        plain_callers(),
        prop::option::weighted(0.3, plain_callers()),
    )
        .prop_map(|(all, others)| others.into_iter().fold(all, Callers::except))
}

fn targets() -> impl Strategy<Value = Targets> {
    let paths = || {
        names(&[
            "/a",
            "/a/",
            "/a/{x}",
            "/{x}/b",
            "/a/{*rest}",
            "/{*rest}",
            "/",
        ])
    };
    let excepted = names(&["/a", "/a/b", "/a/{x}", "/a/{*rest}"]);
    (
        prop::collection::vec(paths(), 0..3),
        prop::option::weighted(0.3, excepted),
        prop::option::of(names(&["GET", "POST", "HEAD"])),
        prop::option::weighted(0.2, names(&["a.test", "*.test"])),
        prop::option::weighted(0.2, prop::sample::select(vec![80_u16, 8443])),
        prop::option::weighted(0.2, condition()),
    )
        .prop_map(|(paths, except, method, host, port, when)| {
            let mut targets = method.map_or_else(Targets::anything, Targets::method);
            targets = paths.into_iter().fold(targets, Targets::path);
            targets = except.into_iter().fold(targets, Targets::except_path);
            targets = port.into_iter().fold(targets, Targets::port);
            if let Some(host) = host.filter(|host| port.is_some() || !host.starts_with('*')) {
                targets = targets.host(host);
            }
            when.into_iter().fold(targets, Targets::when)
        })
}

fn rule(number: usize) -> impl Strategy<Value = Rule> {
    (
        any::<bool>(),
        any::<bool>(),
        prop::collection::vec(callers(), 0..3),
        prop::collection::vec(targets(), 0..3),
        prop::option::weighted(0.3, condition()),
    )
        .prop_map(move |(allow, exact, from, to, when)| {
            let name = format!("rule {number}");
            let rule = if allow {
                Rule::allow(&name)
            } else {
                Rule::deny(&name)
            };
            let rule = if exact { rule.exactly() } else { rule };
            let rule = from.into_iter().fold(rule, Rule::from);
            let rule = when.into_iter().fold(rule, Rule::when);
            to.into_iter().fold(rule, Rule::to)
        })
}

/// A request that owns what it says.
#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    path: &'static str,
    peer: Option<&'static str>,
    principal: Option<(&'static str, bool, Vec<&'static str>, bool)>,
    host: Option<(&'static str, Option<u16>)>,
    tenant: Vec<&'static str>,
    addresses: [Option<&'static str>; 2],
    destination: Option<&'static str>,
    server_name: Option<&'static str>,
}

fn request() -> impl Strategy<Value = Request> {
    let ids = names(&[
        "spiffe://a.org/ns/shop/sa/x",
        "spiffe://a.org/ns/bank/sa/y",
        "spiffe://b.org/ns/bank/sa/y",
        "spiffe://b.org/z",
    ]);
    let address = || prop::option::weighted(0.8, names(&["10.1.2.3", "192.0.2.1", "198.51.100.1"]));
    let principal = (
        names(&["alice", "bob"]),
        any::<bool>(),
        prop::collection::vec(names(&["read", "write", "other"]), 0..3),
        any::<bool>(),
    );
    let host = (
        names(&["a.test", "A.test.", "x.a.test", "other"]),
        prop::option::of(Just(8443)),
    );
    (
        names(&["GET", "POST", "HEAD", "PUT"]),
        names(&[
            "/", "/a", "/a/", "/A", "/a/b", "/a/B/", "/x/b", "/a/b/c", "/c",
        ]),
        prop::option::weighted(0.8, ids),
        prop::option::weighted(0.7, principal),
        prop::option::weighted(0.8, host),
        prop::collection::vec(names(&["acme", "b", ""]), 0..3),
        [address(), address()],
        prop::option::weighted(0.8, names(&["192.0.2.2:8443", "192.0.2.3:80"])),
        prop::option::weighted(0.8, names(&["", "a.test", "A.TEST"])),
    )
        .prop_map(
            |(method, path, peer, principal, host, tenant, addresses, destination, server_name)| {
                Request {
                    method,
                    path,
                    peer,
                    principal,
                    host,
                    tenant,
                    addresses,
                    destination,
                    server_name,
                }
            },
        )
}

impl ReadHeaders for Request {
    fn read(&self, name: &str, tell: &mut dyn FnMut(&[u8])) {
        if name == "x-tenant" {
            self.tenant.iter().for_each(|value| tell(value.as_bytes()));
        }
    }
}

impl Request {
    fn decide(&self, policies: [&Policy; 2]) -> [Ruling; 2] {
        let peer: Option<Peer> = self.peer.map(peer);
        let principal: Option<Principal> =
            self.principal
                .as_ref()
                .map(|(subject, app, scopes, clerk)| {
                    let scheme = bartizan_core::Scheme::Jwt;
                    let builder = Principal::builder(scheme, ISSUER, subject)
                        .with_scopes(scopes.iter().copied())
                        .with_roles(clerk.then_some("clerk"));
                    let builder = if *app {
                        builder.with_client("app")
                    } else {
                        builder
                    };
                    builder.assert_verified()
                });
        let authority = self.host.map(|(host, port)| match port {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        });
        let mut facts = Facts::new(self.method, self.path);
        facts.peer = peer.as_ref();
        facts.principal = principal.as_ref();
        facts.authority = authority.as_deref();
        facts.host = self.host.map(|(host, _)| host);
        facts.port = self.host.and_then(|(_, port)| port);
        facts.headers = Some(self);
        facts.address = self.addresses[0].map(|it| it.parse().unwrap());
        facts.source = self.addresses[1].map(|it| it.parse().unwrap());
        facts.destination = self.destination.map(|it| it.parse().unwrap());
        facts.server_name = self.server_name;
        policies.map(|policy| policy.decide(&facts, &mut |_| {}))
    }
}

fn is_allowed(ruling: &Ruling) -> bool {
    matches!(ruling, Ruling::Allowed(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    /// Written for Istio and read again, a policy decides every request as before.
    #[test]
    fn what_was_exported_decides_as_before(
        rules in (1..6usize).prop_flat_map(|count| (0..count).map(rule).collect::<Vec<_>>()),
        requests in prop::collection::vec(request(), 16),
    ) {
        let mut rules = rules;
        if !rules.iter().any(|rule| rule.effect() == Effect::Allow) {
            rules.push(Rule::allow("all"));
        }
        let built = rules.into_iter().fold(Policy::builder(), |all, rule| all.add(rule)).build();
        // Not every rule can be meant.
        prop_assume!(built.is_ok());
        let policy = built.unwrap();
        // Not every rule can be said.
        let exported = IstioExport::new("shop", "orders").write(&policy);
        prop_assume!(exported.is_ok());
        let again = again(&policy);
        for request in &requests {
            let [before, after] = request.decide([&policy, &again]);
            prop_assert_eq!(
                is_allowed(&before), is_allowed(&after),
                "{:?}: {:?} {:?}\n{}\n{}", request, before, after, policy.to_toml(), export(&policy)
            );
        }
    }
}

/// The property would hold of policies that decide nothing, too.
#[test]
fn the_requests_are_told_apart_by_the_policies() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut said, mut allowed, mut all) = (0, 0, 0);
    for _ in 0..400 {
        let rules = [rule(0), rule(1), rule(2)]
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let builder = rules
            .into_iter()
            .fold(Policy::builder().allow_nothing(), |all, it| all.add(it));
        let Ok(policy) = builder.build() else {
            continue;
        };
        let exported = IstioExport::new("shop", "orders").write(&policy);
        said += usize::from(exported.is_ok());
        let request = request().new_tree(&mut runner).unwrap().current();
        let [ruling, _] = request.decide([&policy, &policy]);
        allowed += usize::from(is_allowed(&ruling));
        all += 1;
    }
    println!("{said} of {all} policies can be said, {allowed} allow their request");
    assert!(said * 2 > all, "{said} of {all}");
    assert!(allowed * 20 > all, "{allowed} of {all}");
    let _ = alice();
}
