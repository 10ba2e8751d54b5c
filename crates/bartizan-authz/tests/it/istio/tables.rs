//! What single members of a policy match, as Istio has it.

use bartizan_authz::{Facts, ReadClaims, ReadHeaders, Ruling};
use bartizan_core::SecurityContext;

use super::read;
use crate::support::{ISSUER, alice, peer};

struct Tenant;

impl ReadHeaders for Tenant {
    fn read(&self, name: &str, tell: &mut dyn FnMut(&[u8])) {
        if name.eq_ignore_ascii_case("x-tenant") {
            tell(b"acme");
        }
    }
}

struct Claims;

impl ReadClaims for Claims {
    fn read(&self, _: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)) {
        if name == "aud" {
            tell("orders");
        }
    }

    fn read_within(&self, _: &SecurityContext, path: &[String], tell: &mut dyn FnMut(&str)) {
        if path == ["nested", "claim"] {
            tell("value");
        }
    }

    fn reads_within(&self) -> bool {
        true
    }
}

/// Whether a rule of these members applies to a request of which everything is known.
fn applies(rule: &str) -> bool {
    let web = peer("spiffe://cluster.local/ns/shop/sa/web");
    let principal = alice()
        .with_client("app")
        .with_scopes(["read", "write"])
        .with_roles(["clerk"]);
    let principal = principal.assert_verified();
    let context = SecurityContext::new("/".parse().unwrap());
    let mut facts = Facts::new("GET", "/orders/7").with_claims(&Claims, &context);
    facts.peer = Some(&web);
    facts.principal = Some(&principal);
    facts.authority = Some("shop.example:8443");
    facts.headers = Some(&Tenant);
    facts.address = Some("10.1.2.3".parse().unwrap());
    facts.source = Some("192.0.2.1".parse().unwrap());
    facts.destination = Some("192.0.2.2:8443".parse().unwrap());
    facts.server_name = Some("shop.example");
    let imported = read(&format!("  rules:\n  - {rule}")).unwrap();
    let ruling = imported.policy.decide(&facts, &mut |_| {});
    let denied = read(&format!("  action: DENY\n  rules:\n  - {rule}")).unwrap();
    let denied = denied.policy.decide(&facts, &mut |_| {});
    let applies = matches!(ruling, Ruling::Allowed(_));
    assert_eq!(matches!(denied, Ruling::Denied(Some(_))), applies, "{rule}");
    applies
}

#[test]
fn sources_match_as_istio_has_it() {
    for (field, value, expected) in [
        ("principals", "cluster.local/ns/shop/sa/web", true),
        ("principals", "cluster.local/ns/shop/sa/we", false),
        ("principals", "cluster.local/ns/shop/*", true),
        ("principals", "cluster.local/ns/sh*", true),
        ("principals", "*/sa/web", true),
        ("principals", "*", true),
        ("principals", "spiffe://cluster.local/ns/shop/sa/web", false),
        ("namespaces", "shop", true),
        ("namespaces", "sho", false),
        ("namespaces", "sh*", true),
        ("namespaces", "*op", true),
        ("serviceAccounts", "shop/web", true),
        ("serviceAccounts", "web", true),
        ("serviceAccounts", "bank/web", false),
        ("trustDomains", "cluster.local", true),
        ("trustDomains", "cluster*", true),
        ("trustDomains", "other", false),
        ("requestPrincipals", "https://issuer.example/alice", true),
        ("requestPrincipals", "https://issuer.example/*", true),
        ("requestPrincipals", "https://issuer.example/al*", true),
        ("requestPrincipals", "*/alice", true),
        ("requestPrincipals", "*alice", true),
        ("requestPrincipals", "*", true),
        ("requestPrincipals", "https://*", false),
        ("requestPrincipals", "alice", false),
        ("ipBlocks", "192.0.2.0/24", true),
        ("ipBlocks", "10.1.2.3", false),
        ("remoteIpBlocks", "10.0.0.0/8", true),
        ("remoteIpBlocks", "192.0.2.1", false),
    ] {
        let source = |field: &str| format!("from: [{{source: {{{field}: ['{value}']}}}}]");
        assert_eq!(applies(&source(field)), expected, "{field} {value}");
        let (first, rest) = field.split_at(1);
        let not = format!("not{}{rest}", first.to_uppercase());
        assert_eq!(applies(&source(&not)), !expected, "{not} {value}");
    }
    assert!(applies(
        "from: [{source: {namespaces: [x]}}, {source: {namespaces: [shop]}}]"
    ));
    assert!(!applies(
        "from: [{source: {namespaces: [shop], principals: [x]}}]"
    ));
    assert!(!applies(
        "from: [{source: {namespaces: [shop], notPrincipals: ['*']}}]"
    ));
    assert_eq!(ISSUER, "https://issuer.example");
}

#[test]
fn operations_match_as_istio_has_it() {
    for (field, value, expected) in [
        ("methods", "GET", true),
        ("methods", "G*", true),
        ("methods", "*T", true),
        ("methods", "*", true),
        ("methods", "get", false),
        ("hosts", "shop.example:8443", true),
        ("hosts", "SHOP.example:*", true),
        ("hosts", "shop.example", false),
        ("hosts", "*.example:8443", true),
        ("ports", "8443", true),
        ("ports", "443", false),
        ("paths", "/orders/7", true),
        ("paths", "/Orders/7", false),
        ("paths", "/orders/7/", false),
        ("paths", "/orders", false),
        ("paths", "/orders/*", true),
        ("paths", "/ord*", true),
        ("paths", "*/7", true),
        ("paths", "*", true),
        ("paths", "/orders/{*}", true),
        ("paths", "/{*}", false),
        ("paths", "/{**}", true),
        ("paths", "/orders/{**}", true),
        ("paths", "/{**}/7", true),
        ("paths", "/orders/7/{**}", false),
        ("paths", "/orders/7/*", false),
    ] {
        let operation = |field: &str| format!("to: [{{operation: {{{field}: ['{value}']}}}}]");
        assert_eq!(applies(&operation(field)), expected, "{field} {value}");
        let (first, rest) = field.split_at(1);
        let not = format!("not{}{rest}", first.to_uppercase());
        assert_eq!(applies(&operation(&not)), !expected, "{not} {value}");
    }
    assert!(applies(
        "to: [{operation: {paths: ['/orders/*'], notPaths: ['/orders/8']}}]"
    ));
    assert!(!applies(
        "to: [{operation: {paths: ['/orders/*'], notPaths: ['/orders/*']}}]"
    ));
}

#[test]
fn conditions_match_as_istio_has_it() {
    for (key, value, expected) in [
        ("request.headers[X-Tenant]", "acme", true),
        ("request.headers[x-tenant]", "*", true),
        ("request.headers[x-other]", "*", false),
        ("source.ip", "192.0.2.1", true),
        ("remote.ip", "10.0.0.0/8", true),
        ("source.namespace", "shop", true),
        ("source.principal", "cluster.local/ns/*", true),
        ("source.serviceAccount", "shop/web", true),
        (
            "request.auth.principal",
            "https://issuer.example/alice",
            true,
        ),
        ("request.auth.audiences", "orders", true),
        ("request.auth.audiences", "payments", false),
        ("request.auth.presenter", "app", true),
        ("request.auth.claims[iss]", "https://issuer.example", true),
        ("request.auth.claims[sub]", "alice", true),
        ("request.auth.claims[azp]", "app", true),
        ("request.auth.claims[scope]", "write", true),
        ("request.auth.claims[scope]", "admin", false),
        ("request.auth.claims[roles]", "clerk", true),
        ("request.auth.claims[nested][claim]", "val*", true),
        ("request.auth.claims[nested][other]", "*", false),
        ("destination.ip", "192.0.2.2", true),
        ("destination.port", "8443", true),
        ("destination.port", "80", false),
        ("connection.sni", "shop.example", true),
        ("connection.sni", "*.example", true),
    ] {
        let when = |list: &str| format!("when: [{{key: '{key}', {list}: ['{value}']}}]");
        assert_eq!(applies(&when("values")), expected, "{key} {value}");
        assert_eq!(applies(&when("notValues")), !expected, "{key} not {value}");
    }
    let both =
        "when: [{key: source.ip, values: ['192.0.2.1']}, {key: source.namespace, values: [x]}]";
    assert!(!applies(both));
}

#[test]
fn principals_of_one_trust_domain_are_of_its_aliases() {
    let text = super::document(
        "  rules:\n  - from: [{source: {principals: ['old/ns/shop/sa/web', '*-td/ns/a/sa/b']}}]",
    );
    let import = bartizan_authz::IstioImport::new().with_trust_domains(["new", "old", "some-td"]);
    let policy = import.read(&text).unwrap().policy;
    let allows = |id: &str| {
        let peer = peer(id);
        let mut facts = Facts::new("GET", "/");
        facts.peer = Some(&peer);
        matches!(policy.decide(&facts, &mut |_| {}), Ruling::Allowed(_))
    };
    assert!(allows("spiffe://old/ns/shop/sa/web"));
    assert!(allows("spiffe://new/ns/shop/sa/web"));
    assert!(allows("spiffe://other-td/ns/a/sa/b"));
    assert!(allows("spiffe://new/ns/a/sa/b"));
    assert!(!allows("spiffe://other/ns/shop/sa/web"));
}
