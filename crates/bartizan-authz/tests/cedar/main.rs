//! Policies in Cedar.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../it/support.rs"]
#[expect(dead_code, reason = "each binary uses some of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use bartizan_authz::{
    AuthzLayer, Callers, CedarEngine, CedarError, Condition, ConfigError, EngineError, Fact, Facts,
    PolicyEngine as _, PolicyFile, Rule, Ruling, Targets,
};
use bartizan_core::{Principal, Scheme, SecurityContext};
use bartizan_testkit::Host;

use crate::support::{alice, call, context, peer, policy};

const ROUTES: [&str; 3] = ["/orders", "/orders/{id}", "/echo"];

fn engine(policies: &str) -> CedarEngine {
    let builder = CedarEngine::builder().with_routes(ROUTES);
    builder
        .add_grpc("shop.Payments", "Charge")
        .build(policies)
        .unwrap()
}

fn decide(engine: &CedarEngine, facts: &Facts<'_>) -> Result<Ruling, EngineError> {
    engine.decide(facts, &mut |_| {})
}

#[test]
fn policies_that_speak_of_what_is_not_there_are_not_loaded() {
    for (policies, expected) in [
        ("permit (principal, action);", "missing the `resource`"),
        (
            "permit (principal, action, resource) when { context.pear };",
            "pear",
        ),
        (
            "permit (principal, action == Action::\"GTE\", resource);",
            "GTE",
        ),
        (
            "permit (principal == User::\"alice\", action, resource);",
            "User",
        ),
        (
            "permit (principal, action, resource) when { principal.scopes.contains(\"a\") };",
            "scopes",
        ),
        (
            "permit (principal, action, resource) when { context.host == \"a\" };",
            "host",
        ),
        (
            "permit (principal, action, resource) when { context.path == 7 };",
            "not compatible",
        ),
        (
            "permit (principal, action, resource) when { context.tenant.contains(\"acme\") };",
            "tenant",
        ),
        (
            "permit (principal, action, resource == Route::\"/ordrs\");",
            "Route",
        ),
        (
            "permit (principal == ?principal, action, resource);",
            "is a template",
        ),
        // One that can never apply is a mistake, too.
        (
            "permit (principal is Anonymous, action, resource) when { principal is Peer };",
            "impossible",
        ),
    ] {
        let error = CedarEngine::builder()
            .build(policies)
            .unwrap_err()
            .to_string();
        assert!(
            error.to_lowercase().contains(&expected.to_lowercase()),
            "{policies}: {error}"
        );
    }
    let name = CedarEngine::builder()
        .add_claim("path")
        .build("")
        .unwrap_err();
    assert_eq!(name, CedarError::Name("path".to_owned()));
    let name = CedarEngine::builder()
        .add_grpc("a\"b", "C")
        .build("")
        .unwrap_err();
    assert!(matches!(name, CedarError::Name(_)));
    let route = CedarEngine::builder()
        .with_routes(["/{a"])
        .build("")
        .unwrap_err();
    assert!(matches!(route, CedarError::Route(_)));
    assert!(
        engine("")
            .schema()
            .contains("action \"shop.Payments/Charge\" in [grpc]")
    );
}

#[test]
fn what_is_wrong_is_told_with_its_text_and_line() {
    let texts = |second| [("a.cedar", "permit (principal, action, resource);"), second];
    for (second, expected) in [
        (
            (
                "b.cedar",
                "\npermit (principal, action, resource)\n  when { context.pear };",
            ),
            "b.cedar: line 3: for policy `policy0`, attribute `pear`",
        ),
        (
            ("b.cedar", "\n\npermit (principal, action resource);"),
            "b.cedar: line 3: unexpected token",
        ),
        (
            ("a.cedar", "forbid (principal, action, resource);"),
            "a.cedar: ",
        ),
    ] {
        let built = CedarEngine::builder().build_all(texts(second));
        let error = built.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn policies_of_several_texts_are_one() {
    let facts = Facts::new("GET", "/echo");
    for (second, expected) in [
        ("", Ruling::Allowed("a.cedar#policy0".into())),
        (
            "forbid (principal, action, resource);",
            Ruling::Denied(Some("b.cedar#policy0".into())),
        ),
        (
            "@id(\"closed\") forbid (principal, action, resource);",
            Ruling::Denied(Some("closed".into())),
        ),
    ] {
        let first = "permit (principal, action, resource);";
        let texts = [("a.cedar", first), ("b.cedar", second)];
        let engine = CedarEngine::builder().build_all(texts).unwrap();
        assert_eq!(decide(&engine, &facts).unwrap(), expected, "{second}");
    }
}

#[test]
fn everything_that_is_known_can_be_asked_for() {
    let web = peer("spiffe://example.org/ns/shop/sa/web");
    let clerk = alice()
        .with_client("app")
        .with_scopes(["orders:read", "orders:read"])
        .with_roles(["clerk", "clerk"])
        .assert_verified();
    let mut facts = Facts::new("GET", "/orders/7");
    facts.peer = Some(&web);
    facts.principal = Some(&clerk);
    facts.address = Some("10.1.2.3".parse().unwrap());
    facts.host = Some("Shop.Example");
    facts.port = Some(8443);
    for (condition, expected) in [
        ("true", true),
        (
            "principal == Principal::\"https://issuer.example#alice\"",
            true,
        ),
        ("principal is Peer", false),
        (
            "principal is Principal && principal.issuer == \"https://issuer.example\"",
            true,
        ),
        (
            "principal is Principal && principal.subject == \"bob\"",
            false,
        ),
        (
            "principal is Principal && principal has client && principal.client == \"app\"",
            true,
        ),
        (
            "principal is Principal && principal.scopes.contains(\"orders:read\")",
            true,
        ),
        (
            "principal is Principal && principal.scopes.contains(\"orders:write\")",
            false,
        ),
        ("principal in Role::\"clerk\"", true),
        ("principal in Role::\"admin\"", false),
        (
            "context has peer && context.peer == Peer::\"spiffe://example.org/ns/shop/sa/web\"",
            true,
        ),
        (
            "context has peer && context.peer in TrustDomain::\"example.org\"",
            true,
        ),
        (
            "context has peer && context.peer in TrustDomain::\"evil.org\"",
            false,
        ),
        (
            "context has peer && context.peer.id like \"*/ns/shop/*\"",
            true,
        ),
        (
            "context.method == \"GET\" && context.path == \"/orders/7\"",
            true,
        ),
        ("context has host && context.host == \"shop.example\"", true),
        ("context has port && context.port == 8443", true),
        (
            "context has address && context.address.isInRange(ip(\"10.0.0.0/8\"))",
            true,
        ),
        (
            "context has address && context.address.isInRange(ip(\"192.168.0.0/16\"))",
            false,
        ),
        ("resource == Route::\"/orders/{id}\"", true),
        ("resource == Route::\"/orders\"", false),
        ("action in Action::\"http\"", true),
        ("action in Action::\"grpc\"", false),
    ] {
        let engine = engine(&format!(
            "@id(\"it\") permit (principal, action, resource) when {{ {condition} }};"
        ));
        let ruling = decide(&engine, &facts).unwrap();
        let expected = if expected {
            Ruling::Allowed("it".into())
        } else {
            Ruling::Denied(None)
        };
        assert_eq!(ruling, expected, "{condition}");
    }
}

#[test]
fn a_request_has_one_principal_and_one_action() {
    let web = peer("spiffe://example.org/web");
    let kinds = engine(
        "@id(\"peer\") permit (principal is Peer, action, resource);
         @id(\"anonymous\") permit (principal is Anonymous, action, resource == Route::\"*\");
         @id(\"charge\") permit (principal is Anonymous, action == Action::\"shop.Payments/Charge\", resource);
         @id(\"other\") permit (principal is Anonymous, action == Action::\"other\", resource == Route::\"/echo\");",
    );
    let ruling = |method: &str, path: &str, with_peer: bool| {
        let mut facts = Facts::new(method, path);
        facts.peer = with_peer.then_some(&web);
        match decide(&kinds, &facts).unwrap() {
            Ruling::Allowed(id) => id.to_string(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(ruling("GET", "/orders/7", true), "peer");
    assert_eq!(ruling("GET", "/unknown", false), "anonymous");
    assert_eq!(ruling("PURGE", "/echo", false), "other");
    assert_eq!(ruling("GET", "/echo", false), "Denied(None)");
    let charge =
        engine("@id(\"charge\") permit (principal, action in Action::\"grpc\", resource);");
    let facts = Facts::new("POST", "/shop.Payments/Charge");
    assert_eq!(
        decide(&charge, &facts).unwrap(),
        Ruling::Allowed("charge".into())
    );
    let facts = Facts::new("GET", "/shop.Payments/Charge");
    assert_eq!(decide(&charge, &facts).unwrap(), Ruling::Denied(None));
}

/// It validates, and fails for some requests: numbers overflow.
const FAILS: &str = "
    @id(\"all\") permit (principal, action, resource);
    @id(\"overflow\") forbid (principal, action, resource)
    when { context has port && 9223372036854775807 + context.port > 0 };
";

#[tokio::test]
async fn a_policy_that_cannot_be_evaluated_denies() {
    let mut facts = Facts::new("GET", "/echo");
    let engine = engine(FAILS);
    assert_eq!(
        decide(&engine, &facts).unwrap(),
        Ruling::Allowed("all".into())
    );
    facts.port = Some(8443);
    let error = decide(&engine, &facts).unwrap_err();
    assert!(error.to_string().contains("overflow"), "{error}");

    let layer = AuthzLayer::builder().with_policy(engine).build().unwrap();
    for (uri, status, code) in [
        ("http://shop.example/echo", 200, None),
        (
            "http://shop.example:8443/echo",
            403,
            Some("authz.engine_failed"),
        ),
    ] {
        let context = context(uri, None, None);
        let call = call(&context).with_http_path(uri);
        let answer = Host::Hyper.send(&layer, &call).await.unwrap();
        assert_eq!(
            (answer.http_status.as_u16(), answer.code().as_deref()),
            (status, code),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn claims_are_read_as_the_layer_was_told() {
    let policies = "permit (principal, action, resource) when { context has tenant && context.tenant.contains(\"acme\") };";
    let engine = || {
        CedarEngine::builder()
            .add_claim("tenant")
            .build(policies)
            .unwrap()
    };
    let unread = AuthzLayer::builder().with_policy(engine()).build();
    assert_eq!(unread.unwrap_err(), ConfigError::ClaimsUnread);
    let read = |context: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)| {
        if let (Some(tenant), "tenant") = (context.claims::<String>(), name) {
            tell(&tenant);
        }
    };
    let layer = AuthzLayer::builder()
        .with_policy(engine())
        .with_claims(read)
        .build()
        .unwrap();
    for (tenant, expected) in [("acme", 200), ("other", 403)] {
        let context = context("/echo", None, Some(alice().assert_verified()));
        context.set_claims(Arc::new(tenant.to_owned())).unwrap();
        let answer = Host::Hyper.send(&layer, &call(&context)).await.unwrap();
        assert_eq!(answer.http_status, expected, "{tenant}");
    }
}

/// The same in both languages: whoever wrote one of them can come from the other.
#[test]
fn a_policy_decides_as_the_same_one_in_cedar_does() {
    let rules = policy([
        Rule::allow("readers")
            .from(Callers::anybody().scope("orders:read"))
            .to(Targets::method("GET").path("/orders").path("/orders/{id}")),
        Rule::allow("web writes")
            .from(Callers::peer("spiffe://example.org/web".parse().unwrap()).role("clerk"))
            .to(Targets::method("POST").path("/orders")),
        Rule::allow("charge")
            .from(Callers::trust_domain("example.org".parse().unwrap()))
            .to(Targets::grpc("shop.Payments", "Charge")),
        Rule::deny("outside").when(Condition::on(Fact::ClientAddress).none_of(["10.0.0.0/8"])),
        Rule::deny("not bob")
            .exactly()
            .from(Callers::anybody().subject("https://issuer.example", "bob")),
    ]);
    let cedar = engine(
        "@id(\"readers\") permit (principal is Principal, action == Action::\"GET\", resource)
         when { [Route::\"/orders\", Route::\"/orders/{id}\"].contains(resource) && principal.scopes.contains(\"orders:read\") };
         @id(\"web writes\") permit (principal in Role::\"clerk\", action == Action::\"POST\", resource == Route::\"/orders\")
         when { context has peer && context.peer == Peer::\"spiffe://example.org/web\" };
         @id(\"charge\") permit (principal, action == Action::\"shop.Payments/Charge\", resource)
         when { context has peer && context.peer in TrustDomain::\"example.org\" };
         @id(\"outside\") forbid (principal, action, resource)
         unless { context has address && context.address.isInRange(ip(\"10.0.0.0/8\")) };
         @id(\"not bob\") forbid (principal == Principal::\"https://issuer.example#bob\", action, resource);",
    );
    let peers = [
        None,
        Some(peer("spiffe://example.org/web")),
        Some(peer("spiffe://evil.org/web")),
    ];
    let people = [
        None,
        Some(alice().with_scopes(["orders:read"]).assert_verified()),
        Some(alice().with_roles(["clerk"]).assert_verified()),
        Some(
            bartizan_core::Principal::builder(
                bartizan_core::Scheme::Jwt,
                "https://issuer.example",
                "bob",
            )
            .with_scopes(["orders:read"])
            .assert_verified(),
        ),
    ];
    let (mut asked, mut allowed) = (0, 0);
    for peer in &peers {
        for principal in &people {
            for (method, path) in [
                ("GET", "/orders"),
                ("GET", "/orders/7"),
                ("POST", "/orders"),
                ("POST", "/shop.Payments/Charge"),
                ("DELETE", "/orders/7"),
                ("GET", "/other"),
            ] {
                for address in [None, Some("10.1.2.3"), Some("192.0.2.1")] {
                    let mut facts = Facts::new(method, path);
                    facts.peer = peer.as_ref();
                    facts.principal = principal.as_ref();
                    facts.address = address.map(|it| it.parse().unwrap());
                    let ours = rules.decide(&facts, &mut |_| {});
                    let theirs = decide(&cedar, &facts).unwrap();
                    let is_allowed = |ruling: &Ruling| matches!(ruling, Ruling::Allowed(_));
                    assert_eq!(
                        is_allowed(&ours),
                        is_allowed(&theirs),
                        "{facts:?}: {ours:?} {theirs:?}"
                    );
                    if is_allowed(&ours) {
                        assert_eq!(ours, theirs, "{facts:?}");
                        allowed += 1;
                    }
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(asked, 216);
    assert!(allowed >= 10, "{allowed}");
}

#[tokio::test(start_paused = true)]
async fn a_file_of_cedar_is_read_again_and_the_last_good_one_stays() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cedar");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("policy.cedar");
    let write = |text: &str| {
        std::fs::write(folder.join("new"), text).unwrap();
        std::fs::rename(folder.join("new"), &path).unwrap();
    };
    write("permit (principal, action, resource == Route::\"/echo\");");
    let file = PolicyFile::new(&path).with_interval(Duration::from_secs(5));
    let source = file
        .load_cedar(CedarEngine::builder().with_routes(ROUTES))
        .unwrap();
    let published = source.published();
    let layer = AuthzLayer::builder()
        .with_policy(published.clone())
        .build()
        .unwrap();
    let send = async || {
        let answer = Host::Hyper
            .send(&layer, &call(&context("/echo", None, None)))
            .await;
        answer.unwrap().http_status
    };
    assert_eq!(send().await, 200);
    let mut changes = published.subscribe();
    write("permit (principal, action, resource == Route::\"/orders\");");
    changes.next().await.unwrap();
    assert_eq!(send().await, 403);
    write("permit (principal, action, resource) when { context.pear };");
    while !published.status().is_failing() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(send().await, 403);
    write("permit (principal, action, resource);");
    changes.next().await.unwrap();
    assert_eq!(send().await, 200);
    assert!(
        PolicyFile::new(folder.join("absent"))
            .load_cedar(CedarEngine::builder())
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn files_of_cedar_are_in_force_together_or_not_at_all() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cedar-several");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join("new"), text).unwrap();
        std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
    };
    write("allow.cedar", "permit (principal, action, resource);");
    write(
        "deny.cedar",
        "forbid (principal, action, resource == Route::\"/orders\");",
    );
    let file = PolicyFile::new(folder.join("allow.cedar")).with_interval(Duration::from_secs(5));
    let terms = CedarEngine::builder().with_routes(ROUTES);
    let source = file.load_cedar_with([folder.join("deny.cedar")], terms);
    let published = source.unwrap().published();
    let allowed = |path: &str| {
        let ruling = published.decide(&Facts::new("GET", path), &mut |_| {});
        matches!(ruling.unwrap(), Ruling::Allowed(_))
    };
    assert!(allowed("/echo") && !allowed("/orders"));
    // What is wrong with one leaves both as they were.
    write(
        "allow.cedar",
        "permit (principal, action, resource == Route::\"/orders\");",
    );
    write(
        "deny.cedar",
        "forbid (principal, action, resource == Route::\"/ordrs\");",
    );
    while !published.status().is_failing() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(allowed("/echo") && !allowed("/orders"));
    let mut changes = published.subscribe();
    write(
        "deny.cedar",
        "forbid (principal, action, resource == Route::\"/echo\");",
    );
    changes.next().await.unwrap();
    assert!(!allowed("/echo") && allowed("/orders"));
}

/// The one permit is about the public page, and the router would lead the other spelling to the
/// page of a tenant.
#[tokio::test]
async fn a_path_that_is_permitted_is_permitted_as_it_was_sent() {
    let engine = || {
        let builder = CedarEngine::builder().with_routes(["/public/{page}", "/{tenant}/{page}"]);
        let permit = "permit (principal, action, resource == Route::\"/public/{page}\");";
        builder.build(permit).unwrap()
    };
    for (path, expected) in [
        ("/public/news", None),
        ("/public/n%65ws", None),
        ("/acme/news", Some("authz.denied")),
        ("/%70ublic/news", Some("authz.ambiguous_path")),
    ] {
        let layer = AuthzLayer::builder().with_policy(engine()).build();
        let answer = Host::Hyper
            .send(&layer.unwrap(), &call(&context(path, None, None)))
            .await
            .unwrap();
        let code = answer.code().filter(|_| !answer.is_success());
        assert_eq!(code.as_deref(), expected, "{path}");
    }
}

#[test]
fn no_principal_takes_the_place_of_another() {
    let policies = "permit (principal == Principal::\"keys#of#alice\", action, resource);";
    let engine = engine(policies);
    for (issuer, subject, expected) in [
        ("keys", "of#alice", Some(Ruling::Allowed("policy0".into()))),
        ("keys#of", "alice", None),
        ("keys", "alice", Some(Ruling::Denied(None))),
    ] {
        let principal = Principal::builder(Scheme::ApiKey, issuer, subject).assert_verified();
        let mut facts = Facts::new("GET", "/orders");
        facts.principal = Some(&principal);
        assert_eq!(decide(&engine, &facts).ok(), expected, "{issuer} {subject}");
    }
}
