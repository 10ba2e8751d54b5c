//! What rules say, one by one.

use bartizan_authz::{
    Callers, Condition, Effect, Fact, Facts, Policy, PolicyError, Rule, Ruling, Targets,
};
use bartizan_core::Principal;
use proptest::prelude::*;

use crate::support::{ISSUER, alice, peer, policy};

/// Whether a policy of this rule alone (and, for denials, one that allows everything) lets the
/// request pass.
fn allows(rule: &Rule, facts: &Facts<'_>) -> bool {
    let rules = match rule.effect() {
        Effect::Allow => vec![rule.clone()],
        Effect::Deny => vec![rule.clone(), Rule::allow("all")],
    };
    matches!(policy(rules).decide(facts, &mut |_| {}), Ruling::Allowed(_))
}

#[test]
fn a_rule_about_more_requests_than_can_be_counted_is_refused() {
    let rule = |count: usize| {
        let ports = (0..count).map(|at| Targets::anything().port((at % 60_000) as u16));
        ports.fold(Rule::allow("many"), Rule::to)
    };
    let built = Policy::builder().add(rule(65_536)).build();
    let mut facts = Facts::new("GET", "/");
    facts.port = Some(65_000);
    assert!(matches!(
        built.unwrap().decide(&facts, &mut |_| {}),
        Ruling::Denied(None)
    ));
    for count in [65_537, 65_538] {
        let error = Policy::builder().add(rule(count)).build().unwrap_err();
        let PolicyError::Rule { rule, problem } = error else {
            panic!("{error}");
        };
        assert_eq!(
            (&*rule, problem),
            ("many", "is about more than 65536 sets of requests")
        );
    }
}

#[test]
fn callers_are_told_by_everything_that_is_said_of_them() {
    let web = peer("spiffe://example.org/ns/shop/sa/web");
    let clerk: Principal = alice()
        .with_client("app")
        .with_scopes(["orders:read", "orders:list"])
        .with_roles(["clerk"])
        .assert_verified();
    let mut facts = Facts::new("GET", "/orders/7");
    facts.peer = Some(&web);
    facts.principal = Some(&clerk);
    facts.address = Some("10.1.2.3".parse().unwrap());
    let all = Callers::anybody;
    let id = |text: &str| Callers::peer(text.parse().unwrap());
    for (callers, expected) in [
        (all(), true),
        (Callers::authenticated(), true),
        (Callers::anonymous(), false),
        (id("spiffe://example.org/ns/shop/sa/web"), true),
        (id("spiffe://example.org/ns/*/sa/web"), true),
        (id("spiffe://example.org/ns/shop/**"), true),
        (id("spiffe://example.org/ns/shop/sa/we"), false),
        (id("spiffe://evil.org/ns/shop/sa/web"), false),
        (
            id("spiffe://evil.org/x").or_peer("spiffe://example.org/**".parse().unwrap()),
            true,
        ),
        (Callers::trust_domain("example.org".parse().unwrap()), true),
        (Callers::trust_domain("evil.org".parse().unwrap()), false),
        (all().issuer(ISSUER), true),
        (all().issuer("https://other.example").issuer(ISSUER), true),
        (all().issuer("https://other.example"), false),
        (all().subject(ISSUER, "alice"), true),
        (all().subject("https://other.example", "alice"), false),
        (all().client("app"), true),
        (all().client("other"), false),
        (all().scope("orders:read"), true),
        (all().scope("orders"), false),
        (all().scope("orders:read").scope("orders:write"), false),
        (all().any_scope(["orders:write", "orders:list"]), true),
        (all().role("clerk"), true),
        (all().role("admin"), false),
        (all().network("10.0.0.0/8".parse().unwrap()), true),
        (all().network("192.168.0.0/16".parse().unwrap()), false),
        (all().except(all().role("clerk")), false),
        (all().except(all().role("admin")), true),
        (
            all().scope("orders:read").issuer("https://other.example"),
            false,
        ),
        // Claims are nobody's where nobody reads them.
        (all().claim("tenant", ["acme"]), false),
    ] {
        let rule = Rule::allow("it").from(callers.clone());
        assert_eq!(allows(&rule, &facts), expected, "{callers:?}");
        let rule = Rule::deny("it").from(callers.clone());
        assert_eq!(allows(&rule, &facts), !expected, "denied: {callers:?}");
        let bound = rule.to(Targets::any_method("/orders/{id}"));
        assert_eq!(
            allows(&bound, &facts),
            !expected,
            "denied on a path: {callers:?}"
        );
    }
}

#[test]
fn nobody_in_particular_is_nobody_with_a_scope() {
    let facts = Facts::new("GET", "/orders/7");
    for (callers, expected) in [
        (Callers::anybody(), true),
        (Callers::anonymous(), true),
        (Callers::authenticated(), false),
        (Callers::anybody().scope("read"), false),
        (
            Callers::peer("spiffe://example.org/**".parse().unwrap()),
            false,
        ),
        (
            Callers::anybody().network("0.0.0.0/0".parse().unwrap()),
            false,
        ),
    ] {
        let rule = Rule::allow("it").from(callers.clone());
        assert_eq!(allows(&rule, &facts), expected, "{callers:?}");
    }
}

#[test]
fn targets_are_told_by_everything_that_is_said_of_them() {
    let mut facts = Facts::new("GET", "/orders/7");
    facts.host = Some("Shop.Example");
    facts.port = Some(8443);
    let any = Targets::anything;
    for (targets, expected) in [
        (any(), true),
        (Targets::method("GET"), true),
        (Targets::method("POST"), false),
        (Targets::method("POST").or_method("GET"), true),
        (any().path("/orders/{id}"), true),
        (any().path("/orders"), false),
        (any().path("/other").path("/orders/{*rest}"), true),
        (any().except_path("/orders/{id}"), false),
        (any().path("/{*rest}").except_path("/admin/{*rest}"), true),
        (any().host("shop.example"), true),
        (any().host("*.example"), true),
        (any().host("other.example"), false),
        (any().port(8443), true),
        (any().port(443), false),
        (
            Targets::method("GET")
                .path("/orders/{id}")
                .host("other.example"),
            false,
        ),
    ] {
        let rule = Rule::allow("it").to(targets.clone());
        assert_eq!(allows(&rule, &facts), expected, "{targets:?}");
        let rule = Rule::deny("it").to(targets.clone());
        assert_eq!(allows(&rule, &facts), !expected, "denied: {targets:?}");
    }
}

#[test]
fn a_denial_of_reading_is_one_of_asking_for_the_head() {
    let head = Facts::new("HEAD", "/orders");
    assert!(!allows(
        &Rule::deny("no reading").to(Targets::method("GET")),
        &head
    ));
    assert!(!allows(
        &Rule::allow("reading").to(Targets::method("GET")),
        &head
    ));
}

#[test]
fn a_denial_counts_before_what_allows() {
    let facts = Facts::new("GET", "/admin");
    for rules in [
        [
            Rule::allow("all"),
            Rule::deny("admin").to(Targets::any_method("/admin")),
        ],
        [
            Rule::deny("admin").to(Targets::any_method("/admin")),
            Rule::allow("all"),
        ],
    ] {
        let ruling = policy(rules).decide(&facts, &mut |_| {});
        assert_eq!(ruling, Ruling::Denied(Some("admin".into())));
    }
}

#[test]
fn what_cannot_be_meant_is_no_policy() {
    let check = |rules: Vec<Rule>, expected: &str| {
        let builder = rules
            .into_iter()
            .fold(Policy::builder(), |all, rule| all.add(rule));
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(vec![], "no rule allows anything");
    check(vec![Rule::deny("all")], "no rule allows anything");
    check(
        vec![Rule::allow("a"), Rule::deny("a")],
        "two rules are called \"a\"",
    );
    check(vec![Rule::allow("")], "1 to 128 bytes");
    check(vec![Rule::allow("a\nb")], "control characters");
    check(vec![Rule::allow("a").in_shadow()], "no effect in shadow");
    check(
        vec![Rule::allow("a").to(Targets::any_method("orders"))],
        "begins with a slash",
    );
    check(
        vec![Rule::allow("a").to(Targets::anything().host("*"))],
        "host name",
    );
    let nobody = Callers::anonymous().scope("read");
    check(
        vec![Rule::allow("a").from(nobody)],
        "nobody can be one of its callers",
    );
    let nobody = Callers::anybody().any_scope([]);
    check(
        vec![Rule::allow("a").from(nobody.clone())],
        "nobody can be one of its callers",
    );
    // Who is left out must be somebody: otherwise all are let in.
    for excepted in [nobody, Callers::anybody().claim("banned", [])] {
        let all_but = Callers::authenticated().except(excepted);
        check(
            vec![Rule::allow("a").from(all_but)],
            "nobody can be one of its exceptions",
        );
    }
    let host = Condition::on(Fact::Header("Host".into())).one_of(["shop.example"]);
    check(vec![Rule::allow("a").when(host)], "no header `host`");
    let many = (0..70_000).map(|at| Rule::allow(&at.to_string())).collect();
    check(many, "more than 65535");
    assert!(matches!(
        Policy::builder().build(),
        Err(PolicyError::NothingAllowed)
    ));
}

fn callers() -> impl Strategy<Value = Callers> {
    let peers = prop::sample::select(vec![
        "spiffe://a.org/x",
        "spiffe://a.org/*",
        "spiffe://b.org/**",
    ]);
    let scopes = prop::sample::select(vec!["read", "write"]);
    (
        prop::option::of(peers),
        prop::option::of(scopes.clone()),
        prop::option::of(scopes),
        prop::option::of(Just("admin")),
        prop::option::of(prop::sample::select(vec!["alice", "bob"])),
        any::<bool>(),
    )
        .prop_map(|(peer, all, any, role, subject, issuer)| {
            let mut callers = Callers::anybody();
            if let Some(peer) = peer {
                callers = callers.or_peer(peer.parse().unwrap());
            }
            if let Some(scope) = all {
                callers = callers.scope(scope);
            }
            if let Some(scope) = any {
                callers = callers.any_scope([scope]);
            }
            if let Some(role) = role {
                callers = callers.role(role);
            }
            if let Some(subject) = subject {
                callers = callers.subject(ISSUER, subject);
            }
            if issuer {
                callers = callers.issuer(ISSUER);
            }
            callers
        })
}

fn targets() -> impl Strategy<Value = Targets> {
    let paths = prop::sample::select(vec!["/a", "/a/{x}", "/{x}/b", "/a/{*rest}", "/{*rest}"]);
    let methods = prop::sample::select(vec!["GET", "POST"]);
    (prop::option::of(paths), prop::option::of(methods)).prop_map(|(path, method)| {
        let targets = method.map_or_else(Targets::anything, Targets::method);
        path.into_iter().fold(targets, Targets::path)
    })
}

fn rule(number: usize) -> impl Strategy<Value = Rule> {
    (
        any::<bool>(),
        prop::collection::vec(callers(), 0..3),
        prop::collection::vec(targets(), 0..3),
    )
        .prop_map(move |(allow, from, to)| {
            let name = number.to_string();
            let rule = if allow {
                Rule::allow(&name)
            } else {
                Rule::deny(&name)
            };
            let rule = from.into_iter().fold(rule, Rule::from);
            to.into_iter().fold(rule, Rule::to)
        })
}

proptest! {
    /// The indexes find exactly the rules that apply: one policy of many rules decides as many
    /// policies of one rule do together.
    #[test]
    fn many_rules_decide_as_each_would_by_itself(
        rules in (1..12usize).prop_flat_map(|count| (0..count).map(rule).collect::<Vec<_>>()),
        method in prop::sample::select(vec!["GET", "POST", "HEAD"]),
        path in prop::sample::select(vec!["/a", "/A/", "/a/b", "/x/b", "/a/b/c", "/"]),
        id in prop::option::of(prop::sample::select(vec!["spiffe://a.org/x", "spiffe://a.org/y", "spiffe://b.org/x/y"])),
        scopes in prop::collection::vec(prop::sample::select(vec!["read", "write", "other"]), 0..3),
        admin in any::<bool>(),
        principal in any::<bool>(),
    ) {
        let peer = id.map(peer);
        let roles = admin.then_some("admin");
        let principal = principal.then(|| alice().with_scopes(scopes).with_roles(roles).assert_verified());
        let mut facts = Facts::new(method, path);
        facts.peer = peer.as_ref();
        facts.principal = principal.as_ref();
        let applies = |effect: Effect| rules.iter().filter(|rule| rule.effect() == effect).any(|rule| {
            allows(rule, &facts) == (effect == Effect::Allow)
        });
        let expected = !applies(Effect::Deny) && applies(Effect::Allow);
        let mut all = rules.clone();
        // A policy has to allow something, which is not asked for here.
        all.push(Rule::allow("elsewhere").to(Targets::any_method("/elsewhere")));
        let ruling = policy(all).decide(&facts, &mut |_| {});
        prop_assert_eq!(matches!(ruling, Ruling::Allowed(_)), expected);
    }
}

#[test]
fn every_rule_says_what_it_lacks() {
    let web = peer("spiffe://example.org/web");
    let rules = [
        Rule::deny("no admin").to(Targets::any_method("/admin/{*rest}").port(80)),
        Rule::allow("others")
            .from(Callers::peer("spiffe://example.org/other".parse().unwrap()).scope("read"))
            .from(Callers::anybody().except(Callers::anonymous())),
        Rule::allow("posts").to(Targets::method("POST")
            .path("/orders/{id}")
            .except_path("/orders/7")),
        Rule::allow("web").from(Callers::peer("spiffe://example.org/web".parse().unwrap())),
        Rule::allow("clerks").when(Condition::on(Fact::Role).one_of(["clerk"])),
    ];
    let mut facts = Facts::new("GET", "/orders/7");
    facts.peer = Some(&web);
    let explained = policy(rules).explain(&facts);
    assert_eq!(explained.ruling, Ruling::Allowed("web".into()));
    let misses: Vec<_> = explained
        .rules
        .iter()
        .map(|it| it.misses.join("; "))
        .collect();
    let expected = [
        "to[0]: path, port",
        "from[0]: peer, principal; from[1]: an exception",
        "to[0]: method, an excepted path",
        "",
        "when[0]: role",
    ];
    assert_eq!(misses, expected);
    let applying: Vec<_> = explained.rules.iter().filter(|it| it.applies()).collect();
    assert_eq!(applying.len(), 1);
}

#[test]
fn a_denial_of_a_method_is_one_in_any_case_of_letters() {
    let method = |method: &str| Targets::method(method);
    let on = |method: &str| Condition::on(Fact::Method).one_of([method]);
    for (rule, expected) in [
        (Rule::deny("it").to(method("delete")), false),
        (Rule::deny("it").to(method("DELETE")), false),
        (Rule::deny("it").when(on("del*")), false),
        (Rule::deny("it").to(method("delete")).exactly(), true),
        (Rule::deny("it").when(on("delete")).exactly(), true),
        (Rule::deny("it").to(method("deletes")), true),
    ] {
        let policy = policy([rule.clone(), Rule::allow("all")]);
        let facts = Facts::new("DELETE", "/orders/7");
        let ruling = policy.decide(&facts, &mut |_| {});
        assert_eq!(
            ruling == Ruling::Allowed("all".into()),
            expected,
            "{rule:?}"
        );
    }
    let head = policy([Rule::deny("it").to(method("get")), Rule::allow("all")]);
    let ruling = head.decide(&Facts::new("HEAD", "/"), &mut |_| {});
    assert_eq!(ruling, Ruling::Denied(Some("it".into())));
    // What is allowed is allowed as it is written.
    let allowed = policy([Rule::allow("it").to(method("get"))]);
    let ruling = allowed.decide(&Facts::new("GET", "/"), &mut |_| {});
    assert_eq!(ruling, Ruling::Denied(None));
}
