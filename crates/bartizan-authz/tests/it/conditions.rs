//! What conditions say, one by one.

use bartizan_authz::{
    AuthzLayer, Callers, Condition, ConfigError, Fact, Facts, Policy, ReadClaims, ReadHeaders,
    Rule, Ruling, Targets,
};
use bartizan_core::{Connection, SecurityContext};
use bartizan_testkit::Host;
use http::{HeaderName, HeaderValue};

use crate::support::{ISSUER, alice, call, context, layer, peer, policy};

struct Lines(&'static [(&'static str, &'static str)]);

impl ReadHeaders for Lines {
    fn read(&self, name: &str, tell: &mut dyn FnMut(&[u8])) {
        let lines = self
            .0
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        lines.for_each(|(_, value)| tell(value.as_bytes()));
    }
}

struct Claims;

impl ReadClaims for Claims {
    fn read(&self, _: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)) {
        if name == "aud" {
            tell("orders");
            tell("payments");
        }
    }

    fn read_within(&self, _: &SecurityContext, path: &[String], tell: &mut dyn FnMut(&str)) {
        if path == ["realm_access", "roles"] {
            tell("clerk");
        }
    }

    fn reads_within(&self) -> bool {
        true
    }
}

/// Whether a rule of this condition alone allows, and whether one denies, exactly or not.
fn applies(condition: &Condition, facts: &Facts<'_>) -> [bool; 3] {
    let decide = |rule: Rule| {
        let all = Rule::allow("all");
        let rules = match rule.effect() {
            bartizan_authz::Effect::Allow => vec![rule],
            bartizan_authz::Effect::Deny => vec![rule, all],
        };
        matches!(policy(rules).decide(facts, &mut |_| {}), Ruling::Allowed(_))
    };
    [
        decide(Rule::allow("it").when(condition.clone())),
        !decide(Rule::deny("it").when(condition.clone())),
        !decide(
            Rule::deny("it")
                .exactly()
                .from(Callers::anybody().when(condition.clone())),
        ),
    ]
}

fn on(fact: Fact, values: &[&str]) -> Condition {
    Condition::on(fact).one_of(values.iter().copied())
}

#[test]
fn a_condition_is_about_one_fact() {
    let web = peer("spiffe://example.org/ns/shop/sa/web");
    let clerk = alice()
        .with_client("app")
        .with_scopes(["orders:read"])
        .with_roles(["clerk"])
        .assert_verified();
    let unread = SecurityContext::new("/".parse().unwrap());
    let lines = Lines(&[
        ("X-Tenant", "acme"),
        ("x-many", "a"),
        ("X-Many", "b"),
        ("x-empty", ""),
    ]);
    let mut facts = Facts::new("GET", "/orders/7").with_claims(&Claims, &unread);
    facts.peer = Some(&web);
    facts.principal = Some(&clerk);
    facts.headers = Some(&lines);
    facts.authority = Some("Shop.Example:8443");
    facts.address = Some("10.1.2.3".parse().unwrap());
    facts.source = Some("192.0.2.1".parse().unwrap());
    facts.destination = Some("192.0.2.2:8443".parse().unwrap());
    facts.server_name = Some("shop.example");
    let header = |name: &str| Fact::Header(name.to_owned());
    let claim = |path: &[&str]| Fact::Claim(path.iter().map(ToString::to_string).collect());
    for (fact, value, expected) in [
        (Fact::Authority, "shop.example:*", true),
        (Fact::Authority, "shop.example", false),
        (Fact::Authority, "*.EXAMPLE:8443", true),
        (claim(&["aud"]), "pay*", true),
        (claim(&["aud"]), "invoices", false),
        (claim(&["realm_access", "roles"]), "clerk", true),
        (claim(&["realm_access", "other"]), "*", false),
        (Fact::Client, "app", true),
        (Fact::ClientAddress, "10.0.0.0/8", true),
        (Fact::ClientAddress, "192.0.2.1", false),
        (Fact::SourceAddress, "192.0.2.1", true),
        (Fact::DestinationAddress, "192.0.2.2", true),
        (Fact::DestinationPort, "8443", true),
        (Fact::DestinationPort, "443", false),
        (header("x-tenant"), "acme", true),
        (header("X-TENANT"), "ac*", true),
        (header("x-tenant"), "ACME", false),
        (header("x-many"), "a,b", true),
        (header("x-absent"), "*", false),
        (Fact::Issuer, ISSUER, true),
        (Fact::Subject, "*ice", true),
        (Fact::Principal, "https://issuer.example/alice", true),
        (Fact::Principal, "https://issuer.example/*", true),
        (Fact::Principal, "*/alice", true),
        (Fact::Principal, "*", true),
        (Fact::Principal, "https://issuer.example", false),
        (Fact::Method, "GE*", true),
        (Fact::Namespace, "shop", true),
        (Fact::ServiceAccount, "shop/web", true),
        (Fact::ServiceAccount, "shop/we", false),
        (Fact::TrustDomain, "example*", true),
        (Fact::Path, "/orders/{*}", true),
        (Fact::Path, "*/7", true),
        (Fact::Peer, "example.org/ns/sh*", true),
        (Fact::Peer, "*/sa/web", true),
        (Fact::Peer, "*", true),
        (Fact::Role, "clerk", true),
        (Fact::Scope, "orders:*", true),
        (Fact::ServerName, "SHOP.example", true),
    ] {
        let condition = on(fact.clone(), &[value]);
        assert_eq!(
            applies(&condition, &facts),
            [expected; 3],
            "{fact:?} {value}"
        );
        let condition = Condition::on(fact.clone()).none_of([value]);
        assert_eq!(
            applies(&condition, &facts),
            [!expected; 3],
            "{fact:?} not {value}"
        );
        let both = on(fact.clone(), &[value]).none_of([value]);
        assert_eq!(applies(&both, &facts), [false; 3], "{fact:?} both {value}");
    }
    // One line of many is enough to be denied, unless the rule goes by what is written.
    assert_eq!(
        applies(&on(header("x-many"), &["b"]), &facts),
        [false, true, false]
    );
    let none = Condition::on(header("x-many")).none_of(["b"]);
    assert_eq!(applies(&none, &facts), [false, true, true]);
    // Nor is what one of them begins or ends with enough to be allowed: which of them a service reads
    // is not known.
    for value in ["a*", "*b"] {
        let one = on(header("x-many"), &[value]);
        assert_eq!(applies(&one, &facts), [false, true, true], "{value}");
        let none = Condition::on(header("x-many")).none_of([value]);
        assert_eq!(applies(&none, &facts), [false, true, false], "{value}");
    }
    let each = on(header("x-many"), &["a*", "b*"]);
    assert_eq!(applies(&each, &facts), [true; 3]);
}

#[test]
fn what_is_not_known_is_held_against_the_request() {
    let facts = Facts::new("GET", "/");
    for fact in [
        Fact::ClientAddress,
        Fact::SourceAddress,
        Fact::DestinationAddress,
    ] {
        let one = on(fact.clone(), &["0.0.0.0/0"]);
        assert_eq!(applies(&one, &facts), [false, true, true], "{fact:?}");
        let none = Condition::on(fact.clone()).none_of(["192.0.2.1"]);
        assert_eq!(applies(&none, &facts), [false, true, true], "not {fact:?}");
    }
    assert_eq!(
        applies(&on(Fact::ServerName, &["a.test"]), &facts),
        [false, true, true]
    );
    assert_eq!(
        applies(&on(Fact::DestinationPort, &["80"]), &facts),
        [false, true, true]
    );
    let mut anywhere = Facts::new("GET", "/");
    anywhere.destination = Some("0.0.0.0:8443".parse().unwrap());
    let one = on(Fact::DestinationAddress, &["0.0.0.0/0"]);
    assert_eq!(applies(&one, &anywhere), [false, true, true]);
    let port = on(Fact::DestinationPort, &["8443"]);
    assert_eq!(applies(&port, &anywhere), [true; 3]);
    // What is absent is known.
    for fact in [Fact::Peer, Fact::Principal, Fact::Authority, Fact::Scope] {
        assert_eq!(
            applies(&on(fact.clone(), &["*"]), &facts),
            [false; 3],
            "{fact:?}"
        );
        let none = Condition::on(fact.clone()).none_of(["*"]);
        assert_eq!(applies(&none, &facts), [true; 3], "not {fact:?}");
    }
    let mut facts = Facts::new("GET", "/");
    facts.server_name = Some("");
    assert_eq!(applies(&on(Fact::ServerName, &["*"]), &facts), [false; 3]);
}

#[test]
fn an_exact_denial_is_one_of_nothing_else() {
    let denial = || Rule::deny("it").to(Targets::method("GET").path("/admin"));
    for (method, path, loosely, exactly) in [
        ("GET", "/admin", true, true),
        ("HEAD", "/admin", true, false),
        ("GET", "/Admin", true, false),
        ("GET", "/admin/", true, false),
        ("POST", "/admin", false, false),
    ] {
        let facts = Facts::new(method, path);
        for (rule, expected) in [(denial(), loosely), (denial().exactly(), exactly)] {
            let ruling = policy([rule, Rule::allow("all")]).decide(&facts, &mut |_| {});
            assert_eq!(
                ruling == Ruling::Denied(Some("it".into())),
                expected,
                "{method} {path}"
            );
        }
    }
}

#[test]
fn a_condition_that_cannot_be_meant_is_no_policy() {
    for (condition, expected) in [
        (Condition::on(Fact::Peer), "no values"),
        (on(Fact::Header("a b".into()), &["x"]), "is no name"),
        (on(Fact::Claim(Vec::new()), &["x"]), "is no name"),
        (on(Fact::ClientAddress, &["10.0.0.0/99"]), "not a network"),
        (on(Fact::DestinationPort, &["http"]), "not a port"),
        (on(Fact::Path, &["/a/../b"]), "no canonical path"),
        (on(Fact::ServiceAccount, &["web"]), "a namespace and a name"),
        (on(Fact::Peer, &[""]), "an empty value"),
    ] {
        for rule in [
            Rule::allow("it").when(condition.clone()),
            Rule::allow("it").to(Targets::anything().when(condition.clone())),
            Rule::allow("it").from(Callers::anybody().when(condition.clone())),
            Rule::allow("it")
                .from(Callers::anybody().except(Callers::anybody().when(condition.clone()))),
        ] {
            let error = Policy::builder().add(rule).build().unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains("\"it\""),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn the_layer_knows_headers_and_connection() {
    let rule = Rule::allow("it")
        .when(on(Fact::Header("x-tenant".into()), &["acme"]))
        .when(on(Fact::DestinationPort, &["8443"]))
        .when(on(Fact::ServerName, &["shop.example"]))
        .when(on(Fact::SourceAddress, &["192.0.2.0/24"]));
    let connection = |name: &str| {
        Connection::from_remote("192.0.2.1:4711".parse().unwrap())
            .with_local("192.0.2.2:8443".parse().unwrap())
            .with_server_name(name)
    };
    for (tenant, name, expected) in [
        ("acme", "shop.example", 200),
        ("other", "shop.example", 403),
        ("acme", "other.example", 403),
    ] {
        let call = call(&context("/echo", None, None))
            .add_extension(connection(name))
            .add_header(
                HeaderName::from_static("x-tenant"),
                HeaderValue::from_static(tenant),
            );
        let answer = Host::Hyper
            .send(&layer([rule.clone()]), &call)
            .await
            .unwrap();
        assert_eq!(answer.http_status, expected, "{tenant} {name}");
    }
    // What the listener does not say can be said of the service.
    let port = Rule::allow("it").when(on(Fact::DestinationPort, &["8443"]));
    let builder = AuthzLayer::builder().with_policy(policy([port]));
    let told = builder
        .with_destination("192.0.2.2:8443".parse().unwrap())
        .build()
        .unwrap();
    let nobody = call(&context("/echo", None, None));
    assert_eq!(
        Host::Hyper.send(&told, &nobody).await.unwrap().http_status,
        200
    );
}

#[test]
fn nested_claims_take_a_reader_that_reads_them() {
    let fact = Fact::Claim(vec!["realm_access".into(), "roles".into()]);
    let build = |reads: Option<bool>| {
        let rule = Rule::allow("it").when(on(fact.clone(), &["clerk"]));
        let builder = AuthzLayer::builder().with_policy(policy([rule]));
        match reads {
            None => builder.build(),
            Some(true) => builder.with_claims(Claims).build(),
            Some(false) => builder
                .with_claims(|_: &SecurityContext, _: &str, _: &mut dyn FnMut(&str)| {})
                .build(),
        }
    };
    assert_eq!(build(None).unwrap_err(), ConfigError::ClaimsUnread);
    assert_eq!(
        build(Some(false)).unwrap_err(),
        ConfigError::NestedClaimsUnread
    );
    assert!(build(Some(true)).is_ok());
}

#[test]
fn nothing_is_allowed_only_if_that_is_said() {
    assert!(Policy::builder().build().is_err());
    let closed = Policy::builder().allow_nothing().build().unwrap();
    let ruling = closed.decide(&Facts::new("GET", "/"), &mut |_| {});
    assert_eq!(ruling, Ruling::Denied(None));
}

#[test]
fn nobody_is_asked_for_a_credential_that_a_condition_asks_for() {
    let policy = policy([Rule::allow("it").when(on(Fact::Scope, &["read"]))]);
    let facts = Facts::new("GET", "/");
    assert_eq!(policy.decide(&facts, &mut |_| {}), Ruling::Unauthenticated);
}
