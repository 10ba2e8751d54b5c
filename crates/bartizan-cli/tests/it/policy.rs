//! `bartizan policy`.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bartizan::audit::{AuditConfig, AuditLayer, Ledger};
use bartizan::authz::{AuthzLayer, Callers, Policy, Rule, Targets};
use bartizan::core::{
    Connection, Entrance, Peer, PeerIdentity, Principal, RouteTable, Scheme, SecurityContext,
    VerifiedCertificate, WallTime,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Folder, Said};

const WEB: &str = "spiffe://example.org/ns/shop/sa/web";

fn run(folder: &Folder, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(arguments)
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn done(folder: &Folder, arguments: &[&str]) -> String {
    let said = run(folder, arguments);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out
}

fn json(folder: &Folder, arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend_from_slice(arguments);
    serde_json::from_str(&done(folder, &all)).unwrap()
}

fn write(folder: &Folder, name: &str, text: &str) {
    std::fs::write(folder.path(name), text).unwrap();
}

const POLICY: &str = r#"
version = 1

[[rule]]
name = "no admin"
effect = "deny"
to = [{ paths = ["/admin/{*rest}"] }]

[[rule]]
name = "web reads"
effect = "allow"
from = [{ peers = ["spiffe://example.org/ns/shop/sa/web"], scopes = ["orders:read"] }]
to = [{ methods = ["GET"], paths = ["/orders/{id}"] }]

[[rule]]
name = "acme"
effect = "allow"
to = [{ paths = ["/tenant"] }]
when = [{ header = "x-tenant", one_of = ["acme"] }, { claim = ["org", "id"], one_of = ["7"] }]
"#;

#[test]
fn a_decision_is_explained_for_people_and_for_scripts() {
    let folder = Folder::new("policy-explain");
    write(&folder, "policy.toml", POLICY);
    let alice = ["--issuer", "https://issuer.example", "--subject", "alice"];
    let ask = |more: &[&'static str]| {
        let mut all = vec!["policy", "explain", "--policy", "policy.toml"];
        all.extend_from_slice(&alice);
        all.extend_from_slice(more);
        all
    };
    let read = ask(&[
        "--path",
        "/orders/7",
        "--peer",
        WEB,
        "--scope",
        "orders:read",
    ]);
    let out = done(&folder, &read);
    assert!(out.starts_with("allowed by rule \"web reads\"\n"), "{out}");
    assert!(
        out.contains("no admin   deny    no       to[0]: path"),
        "{out}"
    );
    assert!(out.contains("web reads  allow   yes"), "{out}");

    let admin = json(&folder, &ask(&["--path", "/admin/users"]));
    assert_eq!(
        (&admin["ruling"], &admin["rule"]),
        (&"deny".into(), &"no admin".into())
    );
    let scopeless = json(&folder, &ask(&["--path", "/orders/7", "--peer", WEB]));
    assert_eq!(
        (&scopeless["ruling"], &scopeless["rule"]),
        (&"deny".into(), &Value::Null)
    );
    assert_eq!(scopeless["rules"][1]["misses"][0], "from[0]: principal");
    let tenant = ask(&[
        "--path",
        "/tenant",
        "--header",
        "X-Tenant: acme",
        "--claim",
        "[org][id]=7",
    ]);
    assert_eq!(json(&folder, &tenant)["rule"], "acme");
    let other = ask(&["--path", "/tenant", "--header", "X-Tenant: other"]);
    assert_eq!(
        json(&folder, &other)["rules"][2]["misses"],
        serde_json::json!(["when[0]: header", "when[1]: claim"])
    );
    let grpc = ask(&["--grpc", "shop.Orders/Read"]);
    assert!(done(&folder, &grpc).starts_with("denied: no rule allows it"));
    let nobody = [
        "policy",
        "explain",
        "--policy",
        "policy.toml",
        "--path",
        "/orders/7",
        "--peer",
        WEB,
    ];
    assert!(done(&folder, &nobody).starts_with("denied: no rule allows it without a principal"));

    for (arguments, code, expected) in [
        (ask(&["--path", "/a/../b"]), 1, "before any rule is asked"),
        (ask(&["--path", "/a", "--peer", "web"]), 1, "no SPIFFE ID"),
        (ask(&["--path", "/a", "--header", "x"]), 1, "has no `:`"),
        (ask(&[]), 2, "--path"),
        (
            vec![
                "policy",
                "explain",
                "--policy",
                "absent.toml",
                "--path",
                "/",
            ],
            1,
            "cannot read",
        ),
    ] {
        let said = run(&folder, &arguments);
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
}

const TABLE: &str = r#"
[[case]]
name = "web reads"
expect = "allow"
rule = "web reads"
[case.request]
path = "/orders/7"
peer = "spiffe://example.org/ns/shop/sa/web"
issuer = "https://issuer.example"
subject = "alice"
scopes = ["orders:read"]

[[case]]
name = "admin is closed"
expect = "deny"
request = { method = "POST", path = "/Admin/users" }
"#;

#[test]
fn a_table_of_decisions_is_held_against_a_policy() {
    let folder = Folder::new("policy-test");
    write(&folder, "policy.toml", POLICY);
    write(&folder, "table.toml", TABLE);
    let test = |table: &'static str| ["policy", "test", "--policy", "policy.toml", table];
    assert_eq!(
        done(&folder, &test("table.toml")),
        "all 2 cases are decided as expected\n"
    );

    let yaml = "case:\n- name: nobody reads\n  expect: unauthenticated\n  request:\n    path: /orders/7\n    \
                peer: spiffe://example.org/ns/shop/sa/web\n- name: nobody writes\n  expect: deny\n  \
                request: {method: POST, path: /orders/7}\n";
    write(&folder, "table.yaml", yaml);
    assert_eq!(
        done(&folder, &test("table.yaml")),
        "all 2 cases are decided as expected\n"
    );

    let wrong = TABLE
        .replace("expect = \"deny\"", "expect = \"allow\"")
        .replace("\"orders:read\"", "\"other\"");
    write(&folder, "wrong.toml", &wrong);
    let said = run(&folder, &test("wrong.toml"));
    assert_eq!(said.code, Some(1), "{said:?}");
    let expected = "web reads: GET /orders/7 by spiffe://example.org/ns/shop/sa/web for alice
  - allow by \"web reads\"
  + deny
    \"web reads\" lacks from[0]: principal
admin is closed: POST /Admin/users by nobody
  - allow
  + deny by \"no admin\"
2 of 2 cases are decided otherwise
";
    assert_eq!(said.out, expected);

    write(&folder, "unknown.toml", &TABLE.replace("expect", "expects"));
    let said = run(&folder, &test("unknown.toml"));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("expects"), "{said:?}");
    write(&folder, "empty.toml", "case = []");
    assert!(
        run(&folder, &test("empty.toml"))
            .err
            .contains("has no cases")
    );
}

const ISTIO: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: readers\n  \
                     namespace: shop\nspec:\n  selector:\n    matchLabels: {app: orders}\n  rules:\n  - from:\n    \
                     - source: {principals: [example.org/ns/shop/sa/web]}\n    to:\n    - operation: {methods: [GET]}\n";

#[test]
fn policies_of_istio_come_and_go() {
    let folder = Folder::new("policy-istio");
    write(&folder, "istio.yaml", ISTIO);
    let denial = ISTIO
        .replace("name: readers", "name: no-put")
        .replace("spec:", "spec:\n  action: DENY");
    write(&folder, "more.yaml", &denial.replace("[GET]", "[PUT]"));
    let import = [
        "policy",
        "import",
        "istio",
        "istio.yaml",
        "more.yaml",
        "--namespace",
        "shop",
        "--label",
        "app=orders",
    ];
    let toml = done(&folder, &import);
    assert!(
        toml.starts_with("# Imported from Istio. What no rule speaks of is denied.\n"),
        "{toml}"
    );
    assert!(
        toml.contains("name = \"shop/readers[0]\"") && toml.contains("name = \"shop/no-put[0]\"")
    );
    write(&folder, "policy.toml", &toml);

    let export = [
        "policy",
        "export",
        "--policy",
        "policy.toml",
        "--to",
        "istio",
        "--namespace",
        "shop",
        "--name",
        "orders",
    ];
    let yaml = done(&folder, &export);
    write(&folder, "again.yaml", &yaml);
    let again = done(&folder, &["policy", "import", "istio", "again.yaml"]);
    assert_eq!(again, toml);

    let network = [
        "policy",
        "export",
        "--policy",
        "policy.toml",
        "--to",
        "networkpolicy",
        "--namespace",
        "shop",
        "--name",
        "orders",
        "--label",
        "app=orders",
        "--port",
        "8443",
        "--account",
        "shop/web:app=web,tier=front",
    ];
    let yaml = done(&folder, &network);
    assert!(
        yaml.contains("podSelector: {matchLabels: {\"app\": \"web\", \"tier\": \"front\"}}"),
        "{yaml}"
    );

    write(&folder, "bad.yaml", &ISTIO.replace("methods", "metods"));
    for (arguments, expected) in [
        (
            vec!["policy", "import", "istio", "istio.yaml"],
            "istio.yaml:7: spec.selector: it is about some workloads only",
        ),
        (
            vec![
                "policy",
                "import",
                "istio",
                "istio.yaml",
                "bad.yaml",
                "--all-workloads",
            ],
            "bad.yaml:13: spec.rules[0].to[0].operation.metods: unknown member",
        ),
        (
            vec!["policy", "import", "istio", "more.yaml", "--all-workloads"],
            "say whether unmatched requests are to be allowed or denied",
        ),
    ] {
        let said = run(&folder, &arguments);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
    let open = [
        "policy",
        "import",
        "istio",
        "more.yaml",
        "--all-workloads",
        "--unmatched",
        "allow",
    ];
    let said = run(&folder, &open);
    assert!(
        said.err
            .contains("note: no policy has the action ALLOW: whatever is not denied is allowed"),
        "{said:?}"
    );
    assert!(
        said.out.contains("# no policy has the action ALLOW"),
        "{said:?}"
    );
}

fn peer(id: &str) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(id.parse().unwrap()),
        certificate_sha256: [7; 32],
        serial: vec![1].into(),
        not_after: WallTime::MAX,
    })
}

/// A ledger as a service leaves it behind that allows everything but to write.
async fn ledger(folder: &Path, calls: &[(&str, &str, Option<&str>, Option<&str>)]) {
    let ledger = Ledger::builder(folder, "orders.example/audit")
        .open()
        .unwrap();
    let routes = RouteTable::new(["/orders", "/orders/{id}", "/healthz"]).unwrap();
    let audit = AuditLayer::new(AuditConfig::builder(ledger.clone()).build().unwrap())
        .with_entrance(Entrance::new().with_routes(routes));
    let open = Policy::builder()
        .add(Rule::allow("all").from(Callers::anybody()))
        .add(Rule::deny("no deletions").to(Targets::method("DELETE")));
    let authz = AuthzLayer::builder()
        .with_policy(open.build().unwrap())
        .build()
        .unwrap();
    for (method, path, id, subject) in calls {
        let mut connection = Connection::from_remote("192.0.2.1:4711".parse().unwrap());
        if let Some(id) = id {
            connection = connection.with_peer(peer(id));
        }
        // As a layer that verifies tokens would, between the two.
        let subject = subject.map(str::to_owned);
        let inner = authz.layer(service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }));
        let service = audit.layer(service_fn(move |request: Request<Full<Bytes>>| {
            if let Some(subject) = &subject {
                let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", subject);
                let principal = principal.with_client("app").assert_verified();
                let context = SecurityContext::of(request.extensions()).unwrap();
                context.set_principal(principal).unwrap();
            }
            inner.clone().oneshot(request)
        }));
        let mut request = Request::builder()
            .method(*method)
            .uri(*path)
            .extension(connection);
        // What is posted to a service's method is a call of gRPC.
        if path.contains("shop.") || path.contains('{') {
            request = request.header("content-type", "application/grpc");
        }
        let response = service
            .oneshot(request.body(Full::new(Bytes::new())).unwrap())
            .await
            .unwrap();
        response.into_body().collect().await.unwrap();
    }
    ledger.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn what_a_log_has_seen_is_learned_and_nothing_else() {
    let folder = Folder::new("policy-learn");
    let batch = "spiffe://example.org/ns/jobs/sa/batch";
    let calls = [
        ("GET", "/orders/7", Some(WEB), Some("alice")),
        ("GET", "/orders/8", Some(WEB), Some("bob")),
        ("POST", "/orders", Some(WEB), Some("alice")),
        ("GET", "/orders", Some(batch), None),
        ("DELETE", "/orders/7", Some(WEB), Some("alice")),
        ("GET", "/healthz", None, None),
        ("GET", "/unknown", Some(WEB), Some("alice")),
        ("POST", "/shop.Orders/Read", Some(batch), None),
        // Whoever writes a wildcard does not get one.
        ("POST", "/{*everything}", Some(batch), None),
    ];
    ledger(&folder.path("audit"), &calls).await;
    let learn = ["policy", "learn", "--ledger", "audit"];
    let text = done(&folder, &learn);
    assert!(
        text.contains("orders.example/audit has seen: 6 requests"),
        "{text}"
    );
    assert!(text.contains("# Left out: 1 that were refused"), "{text}");
    assert!(text.contains("# Left out: 2 without a route"), "{text}");
    assert!(text.contains("#        2 x GET /orders/{id}\n"), "{text}");
    assert!(!text.contains("everything"), "{text}");
    // What was seen of nobody in particular is told, and not allowed.
    assert!(
        text.contains("# NOT ALLOWED here") && text.contains("#        1 x GET /healthz\n"),
        "{text}"
    );
    write(&folder, "learned.toml", &text);

    // Everything that was seen passes, and what was not does not.
    let mut table = String::new();
    let mut expect = |expected: &str, request: &str| {
        let number = table.len();
        table.push_str(&format!(
            "[[case]]\nname = \"{number}\"\nexpect = \"{expected}\"\nrequest = {{ {request} }}\n"
        ));
    };
    let web = format!("peer = \"{WEB}\", issuer = \"https://issuer.example\", client = \"app\"");
    expect(
        "allow",
        &format!("path = \"/orders/7\", subject = \"alice\", {web}"),
    );
    expect(
        "allow",
        &format!("path = \"/orders/8\", subject = \"bob\", {web}"),
    );
    expect(
        "allow",
        &format!("method = \"POST\", path = \"/orders\", subject = \"alice\", {web}"),
    );
    expect("allow", &format!("path = \"/orders\", peer = \"{batch}\""));
    expect(
        "allow",
        &format!("grpc = \"shop.Orders/Read\", peer = \"{batch}\""),
    );
    expect(
        "deny",
        &format!("grpc = \"shop.Orders/Write\", peer = \"{batch}\""),
    );
    expect(
        "deny",
        &format!("method = \"DELETE\", path = \"/orders/7\", subject = \"alice\", {web}"),
    );
    expect(
        "deny",
        &format!("path = \"/orders/7\", subject = \"mallory\", {web}"),
    );
    expect("deny", &format!("path = \"/orders/7\", peer = \"{batch}\""));
    expect(
        "deny",
        &format!("method = \"POST\", path = \"/orders\", peer = \"{batch}\""),
    );
    expect("deny", "path = \"/orders/7\"");
    expect("deny", "path = \"/healthz\"");
    write(&folder, "table.toml", &table);
    let test = ["policy", "test", "--policy", "learned.toml", "table.toml"];
    assert_eq!(
        done(&folder, &test),
        "all 12 cases are decided as expected\n"
    );

    let learned = json(&folder, &learn);
    assert_eq!(
        (&learned["rules"], &learned["refused"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        (&learned["anonymous"], &learned["without_route"]),
        (&1.into(), &2.into())
    );
    let with_anonymous = done(&folder, &[&learn[..], &["--allow-anonymous"]].concat());
    assert!(
        with_anonymous.contains("from = [\n  { authenticated = false },\n]"),
        "{with_anonymous}"
    );
    let with_denied = done(&folder, &[&learn[..], &["--include-denied"]].concat());
    assert!(with_denied.contains("DELETE /orders/{id}"), "{with_denied}");
    // Many principals of one client are that client's.
    let few = done(&folder, &[&learn[..], &["--max-subjects", "1"]].concat());
    assert!(
        few.contains("issuers = [\"https://issuer.example\"]") && !few.contains("bob"),
        "{few}"
    );
}

#[tokio::test]
async fn nothing_is_proposed_where_nothing_was_proven() {
    let folder = Folder::new("policy-learn-nothing");
    ledger(&folder.path("audit"), &[("GET", "/healthz", None, None)]).await;
    let said = run(&folder, &["policy", "learn", "--ledger", "audit"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err
            .contains("nothing was seen that a policy could allow (1 requests)"),
        "{said:?}"
    );
    assert_eq!(
        run(&folder, &["policy", "learn", "--ledger", "absent"]).code,
        Some(1)
    );
    // It goes by routes, and says so to whoever has listed none.
    let unknown = ("GET", "/unknown", Some(WEB), None);
    ledger(&folder.path("unlisted"), &[unknown, unknown]).await;
    let said = run(&folder, &["policy", "learn", "--ledger", "unlisted"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let hint = "2 more had no route: list those of the service in `entrance.routes`";
    assert!(said.err.contains(hint), "{said:?}");
}
