//! Rules, and what they ask besides.

use bartizan::config::{Config, Configured};
use bartizan_testkit::Host;
use http::{HeaderName, HeaderValue, Method};
use serde_json::json;

use crate::sample::{Folder, ISSUER};
use crate::service::{built, call};

const CONDITIONS: &str = "
[[rule]]
name = 'people of acme'
effect = 'allow'
when = [
  { header = 'x-tenant', one_of = ['acme', 'acme-*'] },
  { claim = ['realm_access', 'roles'], one_of = ['clerk'] },
]
from = [{ when = [{ fact = 'subject', none_of = ['mallory'] }] }]
to = [{ paths = ['/echo'], when = [{ fact = 'method', none_of = ['GET'] }] }]
";

fn tokens() -> String {
    format!(
        "[[tokens.issuer]]\nissuer = '{ISSUER}'\naudiences = ['orders']\nkey_file = 'keys.json'\n"
    )
}

#[tokio::test]
async fn conditions_narrow_a_rule_wherever_it_stands() {
    for in_file in [false, true] {
        let folder = Folder::new();
        let rules = if in_file {
            folder.write("policy.toml", &format!("version = 1\n{CONDITIONS}"));
            "[rules]\nfile = 'policy.toml'\n".to_owned()
        } else {
            CONDITIONS.replace("[[rule]]", "[[rules.rule]]")
        };
        let configured = built(&folder, &format!("{}{rules}", tokens())).await;
        for (subject, tenant, roles, method, passes) in [
            (
                "alice",
                "acme",
                json!(["staff", "clerk"]),
                Method::POST,
                true,
            ),
            ("alice", "acme-west", json!("clerk"), Method::POST, true),
            ("alice", "evil", json!(["clerk"]), Method::POST, false),
            ("alice", "acme", json!(["staff"]), Method::POST, false),
            (
                "alice",
                "acme",
                json!({ "clerk": true }),
                Method::POST,
                false,
            ),
            ("mallory", "acme", json!(["clerk"]), Method::POST, false),
            ("alice", "acme", json!(["clerk"]), Method::GET, false),
        ] {
            let token = folder.mint.token().audience("orders").subject(subject);
            let token = token.claim("realm_access", json!({ "roles": roles }));
            let name = HeaderName::from_static("x-tenant");
            let call = call("192.0.2.1", None, Some(&token.sign().unwrap()))
                .with_http_method(method.clone())
                .add_header(name, HeaderValue::from_static(tenant));
            let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
            let expected = (!passes).then_some("authz.denied");
            let asked = format!("{subject} {tenant} {roles} {method}");
            assert_eq!(answer.code().as_deref(), expected, "{asked}");
        }
    }
}

async fn at(configured: &Configured, path: &str) -> Option<String> {
    let call = call("192.0.2.1", None, None).with_http_path(path);
    let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
    answer.code()
}

#[tokio::test]
async fn a_denial_catches_other_spellings_unless_it_is_exact() {
    let text = |exact: &str| {
        format!(
            "[[rules.rule]]\nname = 'all'\neffect = 'allow'\n\
             [[rules.rule]]\nname = 'closed'\neffect = 'deny'\nto = [{{ paths = ['/echo'] }}]\n{exact}"
        )
    };
    let denied = Some("authz.denied".to_owned());
    for (exact, other) in [
        ("", denied.clone()),
        ("exact = false", denied.clone()),
        ("exact = true", None),
    ] {
        let folder = Folder::new();
        let configured = built(&folder, &text(exact)).await;
        assert_eq!(at(&configured, "/echo").await, denied, "{exact}");
        assert_eq!(at(&configured, "/Echo").await, other, "{exact}");
    }
}

#[tokio::test]
async fn rules_that_allow_nothing_are_meant_or_a_mistake() {
    let deny = "[[rules.rule]]\nname = 'closed'\neffect = 'deny'\n";
    let error = Config::from_toml(deny, "").unwrap_err().to_string();
    assert!(error.contains("no rule allows anything"), "{error}");
    for (text, expected) in [
        (
            format!("[rules]\nallow_nothing = true\n{deny}"),
            Some("authz.denied"),
        ),
        (
            "[rules]\nallow_nothing = true".to_owned(),
            Some("authz.denied"),
        ),
        (
            "[rules]\nallow_nothing = true\nmode = 'shadow'".to_owned(),
            None,
        ),
    ] {
        let folder = Folder::new();
        let configured = built(&folder, &text).await;
        assert_eq!(
            at(&configured, "/echo").await.as_deref(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn conditions_that_cannot_be_meant_are_refused_with_their_line() {
    let rule = "[[rules.rule]]\nname = 'a'\neffect = 'allow'\n";
    for (condition, expected) in [
        (
            "{ one_of = ['a'] }",
            "line 4, column 9: rules.rule: takes one of `fact`, `header` and `claim`",
        ),
        (
            "{ fact = 'path', header = 'a', one_of = ['a'] }",
            "line 4, column 9: rules.rule: takes one of `fact`, `header` and `claim`",
        ),
        (
            "{ fact = 'pth', one_of = ['a'] }",
            "line 4, column 18: rules.rule[0].when[0].fact: \"pth\" is not known, did you mean \"path\"?",
        ),
        (
            "{ fact = 'path' }",
            "line 1, column 1: rules.rule: rule \"a\": Path has no values",
        ),
        (
            "{ header = 'a b', one_of = ['a'] }",
            "line 1, column 1: rules.rule: rule \"a\": Header",
        ),
        (
            "{ fact = 'client_address', one_of = ['everywhere'] }",
            "line 1, column 1: rules.rule: rule \"a\": \"everywhere\": ",
        ),
    ] {
        let text = format!("{rule}when = [{condition}]");
        let error = Config::from_toml(&text, "").unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}\n{error}");
    }
}
