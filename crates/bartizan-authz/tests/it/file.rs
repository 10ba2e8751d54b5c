//! Policies that stand in files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_authz::{AuthzLayer, Effect, Policy, PolicyFile, Rule};
use bartizan_core::{Outcome, SystemClock};
use bartizan_source::Publisher;
use bartizan_testkit::Host;

use crate::support::{call, context, policy};

const WHOLE: &str = r#"
version = 1

[[rule]]
name = "everything that can be said"
effect = "allow"

[[rule.from]]
peers = ["spiffe://example.org/ns/*/sa/web"]
trust_domains = ["partner.example"]
issuers = ["https://issuer.example"]
subjects = [{ issuer = "https://issuer.example", subject = "alice" }]
clients = ["app"]
scopes = ["orders:read"]
any_scope = ["a", "b"]
roles = ["clerk"]
claims = [{ name = "tenant", values = ["acme"] }]
networks = ["10.0.0.0/8"]
authenticated = true
when = [{ fact = "namespace", one_of = ["sh*"], none_of = ["shadow"] }]
except = [{ roles = ["trainee"] }]

[[rule.to]]
methods = ["GET"]
paths = ["/orders/{id}"]
except_paths = ["/orders/audit"]
grpc = [{ service = "shop.Orders" }, { service = "shop.Payments", method = "Charge" }]
hosts = ["*.example.org"]
ports = [8443]
when = [{ fact = "destination_port", one_of = ["8443"] }]

[[rule.when]]
header = "x-tenant"
none_of = ["evil"]

[[rule.when]]
claim = ["realm_access", "roles"]
one_of = ["clerk"]

[[rule]]
name = "tried out"
effect = "deny"
shadow = true
exact = true
"#;

#[test]
fn everything_that_rust_says_can_be_written_down() {
    let policy = Policy::from_toml(WHOLE).unwrap();
    let effects: Vec<_> = policy
        .rules()
        .map(|rule| (rule.name(), rule.effect()))
        .collect();
    let expected = [
        ("everything that can be said", Effect::Allow),
        ("tried out", Effect::Deny),
    ];
    assert_eq!(effects, expected);
    assert!(policy.asks_claims());
    assert!(policy.asks_nested_claims());
    assert!(!policy.allows_nothing());
}

#[test]
fn what_was_read_is_written_down_again() {
    let policy = Policy::from_toml(WHOLE).unwrap();
    let text = policy.to_toml();
    for kept in [
        "peers = [\"spiffe://example.org/ns/*/sa/web\"]",
        "subjects = [{ issuer = \"https://issuer.example\", subject = \"alice\" }]",
        "when = [{ fact = \"namespace\", one_of = [\"sh*\"], none_of = [\"shadow\"] }]",
        "except = [{ roles = [\"trainee\"] }]",
        "{ claim = [\"realm_access\", \"roles\"], one_of = [\"clerk\"] }",
        "{ header = \"x-tenant\", none_of = [\"evil\"] }",
        "hosts = [\"*.example.org\"]",
        "shadow = true\nexact = true\n",
    ] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    let again = Policy::from_toml(&text).unwrap();
    let rules = |policy: &Policy| {
        policy
            .rules()
            .map(|it| format!("{it:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(rules(&again), rules(&policy));

    let closed = Policy::from_toml("version = 1\nallow_nothing = true").unwrap();
    assert_eq!(closed.to_toml(), "version = 1\nallow_nothing = true\n");
    let odd = "version = 1\n[[rule]]\nname = \"\\\"a\\\\b\"\neffect = \"allow\"\n";
    let odd = Policy::from_toml(odd).unwrap();
    assert_eq!(
        Policy::from_toml(&odd.to_toml()).unwrap().to_toml(),
        odd.to_toml()
    );
}

#[test]
fn what_is_not_known_is_an_error_with_its_place() {
    let refused = |from: &str, to: &str| {
        assert!(WHOLE.contains(from), "{from}");
        let text = WHOLE.replacen(from, to, 1);
        Policy::from_toml(&text).unwrap_err().to_string()
    };
    let check = |from: &str, to: &str, expected: &str| {
        let error = refused(from, to);
        assert!(error.contains(expected), "{to}: {error}");
    };
    let check_line = |from: &str, to: &str, expected: &str| {
        let error = refused(from, to);
        let before = WHOLE.split(from).next().unwrap();
        let line = format!("line {},", before.lines().count() + 1);
        assert!(
            error.contains(expected) && error.contains(&line),
            "{line} {error}"
        );
    };
    check("version = 1", "version = 2", "version 2 is not 1");
    check("version = 1", "", "version");
    check("effect = \"deny\"", "", "effect");
    check_line("shadow = true", "shaddow = true", "shaddow");
    check_line("roles = [\"clerk\"]", "role = [\"clerk\"]", "role");
    check_line(
        "paths = [\"/orders/{id}\"]",
        "path = \"/orders/{id}\"",
        "path",
    );
    check_line("effect = \"deny\"", "effect = \"refuse\"", "refuse");
    check_line("ports = [8443]", "ports = [84430]", "84430");
    check("/orders/{id}", "/orders/*", "whole segment");
    check("10.0.0.0/8", "10.0.0.0/99", "10.0.0.0/99");
    check("partner.example", "Partner Example", "Partner Example");
    check("sa/web", "sa/we*b", "sa/we*b");
    check("\"namespace\"", "\"name\"", "none of authority");
    check(
        "header = \"x-tenant\"",
        "fact = \"path\"\nheader = \"a\"",
        "has one of",
    );
    check("none_of = [\"evil\"]", "", "no values");
    // A list that was emptied would open what it closed.
    for name in ["peers", "roles", "paths", "ports"] {
        let begin = WHOLE.find(&format!("{name} = [")).unwrap();
        let end = begin + WHOLE[begin..].find(']').unwrap() + 1;
        check_line(
            &WHOLE[begin..end],
            &format!("{name} = []"),
            "an empty list: leave the member out",
        );
    }
    let large = format!("{WHOLE}#{}", "x".repeat(4 * 1024 * 1024));
    let error = Policy::from_toml(&large).unwrap_err().to_string();
    assert!(error.contains("bytes"));
}

#[test]
fn an_empty_list_narrows_nothing_and_is_refused_with_its_line() {
    let check = |member: &str| {
        let text = format!("version = 1\n[[rule]]\nname = \"a\"\neffect = \"allow\"\n{member}");
        let error = Policy::from_toml(&text).unwrap_err().to_string();
        assert!(
            error.contains("line 5,") && error.contains("an empty list"),
            "{member}: {error}"
        );
    };
    for member in ["from = []", "to = []", "when = []"] {
        check(member);
    }
    for name in [
        "peers",
        "trust_domains",
        "issuers",
        "subjects",
        "clients",
        "any_scope",
        "scopes",
        "roles",
        "claims",
        "networks",
        "when",
        "except",
    ] {
        check(&format!("from = [{{ {name} = [] }}]"));
        check(&format!("from = [{{ except = [{{ {name} = [] }}] }}]"));
    }
    for name in ["methods", "paths", "except_paths", "grpc", "hosts", "ports"] {
        check(&format!("to = [{{ {name} = [] }}]"));
    }
    for name in ["one_of", "none_of"] {
        check(&format!("when = [{{ fact = \"path\", {name} = [] }}]"));
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str) {
        let rule = format!(
            "version = 1\n[[rule]]\nname = \"it\"\neffect = \"allow\"\nto = [{{ paths = [\"{path}\"] }}]\n"
        );
        self.write_text(&rule);
    }

    fn write_text(&self, text: &str) {
        let new = self.0.join("new.toml");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.0.join("policy.toml")).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_and_the_last_good_policy_stays() {
    let folder = Folder::new("policy");
    folder.write("/echo");
    let file = PolicyFile::new(folder.0.join("policy.toml")).with_interval(Duration::from_secs(5));
    let source = file.load().unwrap();
    let published = source.published();
    let layer = AuthzLayer::builder()
        .with_policy(published.clone())
        .build()
        .unwrap();
    let send = async || {
        let context = context("/echo", None, None);
        Host::Hyper
            .send(&layer, &call(&context))
            .await
            .unwrap()
            .http_status
    };
    assert_eq!(send().await, 200);

    let mut changes = published.subscribe();
    folder.write("/other");
    changes.next().await.unwrap();
    assert_eq!(send().await, 403);

    folder.write_text("version = 1\n[[rule]]\nname = \"it\"\nefect = \"allow\"\n");
    while !published.status().is_failing() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(
        published
            .status()
            .last_failure()
            .unwrap()
            .message()
            .contains("efect")
    );
    assert_eq!(send().await, 403);

    folder.write("/echo");
    changes.next().await.unwrap();
    assert_eq!(send().await, 200);
}

#[tokio::test]
async fn a_service_does_not_start_without_its_policy() {
    let folder = Folder::new("no-policy");
    folder.write_text("version = 1");
    assert!(
        PolicyFile::new(folder.0.join("policy.toml"))
            .load()
            .is_err()
    );
    assert!(
        PolicyFile::new(folder.0.join("absent.toml"))
            .load()
            .is_err()
    );
}

#[tokio::test]
async fn as_long_as_there_is_no_policy_nobody_is_refused_for_good_and_nobody_passes() {
    let publisher = Publisher::new(Arc::new(SystemClock));
    let layer = AuthzLayer::builder()
        .with_policy(publisher.published())
        .build()
        .unwrap();
    for host in Host::WITHOUT_SOCKETS {
        let nobody = context("/echo", None, None);
        let answer = host.send(&layer, &call(&nobody)).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("authz.no_policy"));
        let status = if host.is_grpc() { 200 } else { 503 };
        assert_eq!(answer.http_status, status, "{host:?}");
        let decision = &nobody.decisions()[0];
        assert_eq!(decision.outcome(), Outcome::CouldNotDecide, "{host:?}");
    }
    publisher.publish(policy([Rule::allow("all")]));
    let nobody = call(&context("/echo", None, None));
    let answer = Host::Hyper.send(&layer, &nobody).await.unwrap();
    assert!(answer.is_success());
}
