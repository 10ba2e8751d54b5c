//! What clients are told that have no token.

use bartizan::config::{Config, Configured};
use bartizan_testkit::Host;
use http::Method;

use crate::sample::{Folder, WHOLE};
use crate::service::{WEB, built, call};

const PATH: &str = "/.well-known/oauth-protected-resource/v1";

const METADATA: &str = "[metadata]\nresource = 'https://orders.example/v1'\n\
    scopes = ['echo', 'orders:read']\nname = 'Orders'\ndocumentation = 'https://docs.example'\n";

async fn ask(
    configured: &Configured,
    method: Method,
    path: &str,
    id: Option<&str>,
) -> bartizan_testkit::Answer {
    let call = call("192.0.2.1", id, None).with_http_method(method);
    let call = call.with_http_path(path);
    Host::Hyper.send(&configured.layer(), &call).await.unwrap()
}

#[tokio::test]
async fn whoever_may_try_a_token_may_read_where_to_get_one() {
    let folder = Folder::new();
    // Without the limit by address, which is tried below.
    let whole = WHOLE.replace("rate = \"3/h\"", "rate = \"20/h\"");
    let configured = built(&folder, &format!("{whole}{METADATA}")).await;
    let refused = ask(&configured, Method::POST, "/echo", Some(WEB)).await;
    assert_eq!(refused.code().as_deref(), Some("jwt.missing"));
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    let named = format!("resource_metadata=\"https://orders.example{PATH}\"");
    assert!(challenge.contains(&named), "{challenge}");

    let answer = ask(&configured, Method::GET, PATH, Some(WEB)).await;
    assert_eq!(answer.http_status, 200);
    let told: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    for (member, expected) in [
        ("resource", serde_json::json!("https://orders.example/v1")),
        (
            "authorization_servers",
            serde_json::json!(["https://issuer.example"]),
        ),
        (
            "scopes_supported",
            serde_json::json!(["echo", "orders:read"]),
        ),
        ("resource_name", serde_json::json!("Orders")),
        (
            "resource_documentation",
            serde_json::json!("https://docs.example"),
        ),
    ] {
        assert_eq!(told[member], expected, "{told}");
    }
    // It is no way around anything else.
    for (method, path, id, expected) in [
        (Method::HEAD, PATH.to_owned(), Some(WEB), None),
        (Method::GET, PATH.to_owned(), None, Some("mtls.no_peer")),
        (
            Method::POST,
            PATH.to_owned(),
            Some(WEB),
            Some("jwt.missing"),
        ),
        (
            Method::GET,
            format!("{PATH}/"),
            Some(WEB),
            Some("ratelimit.no_key"),
        ),
        (
            Method::GET,
            format!("/x/..{PATH}"),
            Some(WEB),
            Some("route.ambiguous_path"),
        ),
    ] {
        let answer = ask(&configured, method.clone(), &path, id).await;
        assert_eq!(answer.code().as_deref(), expected, "{method} {path}");
    }
    for _ in 0..20 {
        ask(&configured, Method::GET, PATH, Some(WEB)).await;
    }
    let answer = ask(&configured, Method::GET, PATH, Some(WEB)).await;
    assert_eq!(answer.code().as_deref(), Some("ratelimit.exceeded"));
}

#[tokio::test]
async fn another_document_can_be_named_and_this_one_follows_the_tokens() {
    let folder = Folder::new();
    let text = |tokens: &str, metadata: &str| {
        format!(
            "[tokens]\n{tokens}\n[[tokens.issuer]]\nissuer = 'https://issuer.example'\n\
             audiences = ['orders']\nkey_file = 'keys.json'\n{metadata}"
        )
    };
    let elsewhere = "resource_metadata = 'https://other.example/m'";
    let configured = built(&folder, &text(elsewhere, METADATA)).await;
    let refused = ask(&configured, Method::GET, "/echo", None).await;
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("https://other.example/m"), "{challenge}");

    let more = "[[tokens.issuer]]\nissuer = 'https://second.example'\naudiences = ['orders']\n\
                key_file = 'keys.json'\n";
    let issuers = async || {
        let answer = ask(&configured, Method::GET, PATH, None).await;
        let told: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        told["authorization_servers"].to_string()
    };
    assert_eq!(issuers().await, r#"["https://issuer.example"]"#);
    let renamed = METADATA.replace("Orders", "Others");
    folder.write("bartizan.toml", &text("", &format!("{more}{renamed}")));
    let reload = configured.reload().await.unwrap().to_string();
    assert_eq!(reload, "in force: tokens; needs a restart: metadata");
    let both = r#"["https://issuer.example","https://second.example"]"#;
    assert_eq!(issuers().await, both);
    // The name is that of the beginning.
    let answer = ask(&configured, Method::GET, PATH, None).await;
    assert!(answer.text().contains("Orders"), "{}", answer.text());
    // Without tokens there is nothing to tell, and what was stays.
    folder.write("bartizan.toml", METADATA);
    let error = configured.reload().await.unwrap_err().to_string();
    assert!(
        error.contains("metadata: takes [tokens] beside it"),
        "{error}"
    );
    assert_eq!(issuers().await, both);
}

#[test]
fn what_is_no_resource_is_refused_with_its_line() {
    let folder = Folder::new();
    let tokens = "[[tokens.issuer]]\nissuer = 'https://issuer.example'\naudiences = ['orders']\n";
    for (text, expected) in [
        (
            METADATA.to_owned(),
            "line 1, column 1: metadata: takes [tokens] beside it",
        ),
        (
            format!(
                "{tokens}{}",
                METADATA.replace("https://orders", "http://orders")
            ),
            "line 4, column 1: metadata.resource: ",
        ),
        (
            format!(
                "{tokens}{}",
                METADATA.replace("example/v1", "example/v1//x")
            ),
            "line 4, column 1: metadata.resource: ",
        ),
        (
            format!("{tokens}{}", METADATA.replace("scopes", "scops")),
            "line 6, column 1: metadata.scops: unknown option, did you mean `scopes`?",
        ),
    ] {
        let error = Config::from_toml(&text, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{text}\n{error}");
    }
}
