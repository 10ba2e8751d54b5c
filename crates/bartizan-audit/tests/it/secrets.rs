//! Secrets in every place where a client or a handler can put one, under rules that allow all that
//! rules can: none of them is in any file of the ledger.

use std::convert::Infallible;

use bartizan_audit::{AuditConfig, AuditLayer, AuditTapLayer, ConfigError, Rule, TapBody};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::layer::util::Stack;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Folder, authenticate, end, get, with_requests};

/// What no file may hold. Every secret of this test ends with it.
const CANARY: &str = "Zq7CANARYx9";

/// A token as issuers make them, from its middle part on.
fn token() -> String {
    format!("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.{CANARY}")
}

/// All that rules can allow about these requests.
fn everything() -> Rule {
    let mut rule = Rule::request_response().allow_path();
    for name in ["page", "next", "q", "redirect_uri"] {
        rule = rule.add_query(name);
    }
    for name in [
        "user-agent",
        "referer",
        "x-forwarded-for",
        "x-note",
        "host",
        "origin",
    ] {
        rule = rule.add_request_header(name);
    }
    for name in ["location", "etag", "link", "x-note"] {
        rule = rule.add_response_header(name);
    }
    for pointer in ["/user", "/items", "/items/0", "/note", "/"] {
        rule = rule.add_request_field(pointer).add_response_field(pointer);
    }
    rule
}

fn requests() -> Vec<Request<Full<Bytes>>> {
    let token = token();
    let mut requests = Vec::new();
    for uri in [
        format!("/orders/1?access_token={CANARY}&page=1"),
        format!("/orders/1?token={token}"),
        format!("/orders/1?acc%65ss_token={CANARY}"),
        format!("/orders/1?page={token}"),
        format!("/orders/1?page=Bearer%20{CANARY}"),
        format!("/orders/1?page=Basic+{CANARY}"),
        format!("/orders/1?page=1&PAGE={CANARY}"),
        format!("/orders/1?next=https%3A%2F%2Fapp.example%2F%3Fcode%3D{CANARY}"),
        format!("/orders/1?next=https%253A%252F%252Fapp.example%252F%253Fcode%253D{CANARY}"),
        format!("/orders/1?redirect_uri=https://app.example/%23id_token={CANARY}"),
        format!("/orders/1?q=https://user:{CANARY}@db.example/"),
        format!("/orders/1?q=ghp_0123456789{CANARY}"),
        format!("/reset/{token}"),
        format!("/orders/1?{CANARY}"),
        format!("/orders/1?sig={CANARY}&page=2"),
    ] {
        requests.push(get(&uri));
    }
    for (name, value) in [
        ("authorization", format!("Bearer {CANARY}")),
        ("proxy-authorization", format!("Basic {CANARY}")),
        ("cookie", format!("session={CANARY}")),
        ("x-api-key", CANARY.to_owned()),
        ("dpop", token.clone()),
        (
            "sec-websocket-protocol",
            format!("base64url.bearer.{CANARY}"),
        ),
        ("user-agent", format!("curl Bearer={CANARY}")),
        ("user-agent", format!("Bearer {CANARY}")),
        ("x-note", format!("token={CANARY}")),
        ("x-note", token.clone()),
        (
            "referer",
            format!("https://app.example/callback?code={CANARY}&state=1"),
        ),
        (
            "referer",
            format!("https://app.example/#access_token={CANARY}"),
        ),
        ("origin", format!("https://user:{CANARY}@app.example")),
        ("x-forwarded-for", format!("192.0.2.1, password={CANARY}")),
    ] {
        let mut request = get("/orders/1");
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        requests.push(request);
    }
    for body in [
        format!(r#"{{"password":"{CANARY}","note":"fine"}}"#),
        format!(r#"{{"user":{{"name":"alice","password":"{CANARY}"}}}}"#),
        format!(r#"{{"user":{{"deep":{{"er":[{{"api_key":"{CANARY}"}}]}}}}}}"#),
        format!(r#"{{"user":{{"p\u0061ssword":"{CANARY}"}}}}"#),
        format!(r#"{{"items":["{token}"]}}"#),
        format!(r#"{{"items":[{{"note":"Bearer {CANARY}"}}]}}"#),
        format!(r#"{{"note":"-----BEGIN PRIVATE KEY-----\n{CANARY}"}}"#),
        format!(r#"{{"note":"https://app.example/?code={CANARY}"}}"#),
        format!(r#"{{"":"session={CANARY}"}}"#),
        format!(r#"{{"user":{{"Bearer {CANARY}":1}}}}"#),
    ] {
        let mut request = get("/orders/1");
        *request.method_mut() = Method::POST;
        let json = "application/json".parse().unwrap();
        request.headers_mut().insert("content-type", json);
        *request.body_mut() = Full::new(Bytes::from(body));
        requests.push(request);
    }
    requests
}

#[tokio::test]
async fn no_secret_gets_into_the_ledger_whatever_is_allowed() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let config = AuditConfig::builder(ledger.clone()).add_rule(everything());
    let layer = AuditLayer::new(config.build().unwrap());
    let layers = Stack::new(AuditTapLayer::new(), layer);
    let service = layers.layer(service_fn(
        async |request: Request<TapBody<Full<Bytes>>>| {
            authenticate(&request);
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mut response = Response::new(Full::new(body));
            let headers = response.headers_mut();
            if let Some(media) = head.headers.get("content-type") {
                headers.insert("content-type", media.clone());
            }
            let cookie = format!("session={CANARY}; Secure");
            headers.insert("set-cookie", cookie.parse().unwrap());
            let location = format!("https://app.example/?code={CANARY}");
            headers.insert("location", location.parse().unwrap());
            headers.insert("x-note", "plain".parse().unwrap());
            Ok::<_, Infallible>(response)
        },
    ));
    let requests = requests();
    let count = requests.len();
    for request in requests {
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
    end(&ledger, &folder).await;
    let mut read = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            read += bytes.len();
            let found = bytes
                .windows(CANARY.len())
                .position(|it| it == CANARY.as_bytes());
            let around = found.map(|at| &bytes[at.saturating_sub(200)..at + CANARY.len()]);
            let around = around.map(String::from_utf8_lossy);
            assert_eq!(around, None, "{}", path.display());
        }
    }
    assert!(read > count * 100, "there is something to look through");
    // It is not that nothing were recorded: what is no secret is there.
    with_requests(&folder, |requests| {
        assert_eq!(requests.len(), count);
        assert_eq!(requests[0].query, [("page", "1")]);
        assert_eq!(
            requests[0].response_headers.last(),
            Some(&("x-note", "plain"))
        );
        let users = requests.iter().flat_map(|it| &it.request_fields);
        assert!(
            users
                .clone()
                .any(|(_, value)| value.contains(r#""name":"alice""#))
        );
        assert!(users.clone().any(|it| *it == ("/note", "\"fine\"")));
    });
}

#[test]
fn a_rule_that_names_a_secret_is_refused() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let check = |rule: Rule, name: &str| {
        let built = AuditConfig::builder(ledger.clone()).add_rule(rule).build();
        assert_eq!(
            built.map(drop).unwrap_err(),
            ConfigError::Secret(name.to_owned())
        );
    };
    for name in [
        "access_token",
        "code",
        "client_secret",
        "sig",
        "sessionid",
        "api-key",
    ] {
        check(Rule::metadata().add_query(name), name);
    }
    for name in [
        "authorization",
        "cookie",
        "x-api-key",
        "dpop",
        "proxy-authorization",
    ] {
        check(Rule::request().add_request_header(name), name);
        check(
            Rule::request().add_request_header(&name.to_uppercase()),
            name,
        );
        check(Rule::request_response().add_response_header(name), name);
    }
    check(
        Rule::request_response().add_response_header("Set-Cookie"),
        "set-cookie",
    );
    for pointer in [
        "/password",
        "/login/password",
        "/card/cvv",
        "/a/0/token",
        "/pass~1word",
    ] {
        check(Rule::request().add_request_field(pointer), pointer);
        check(
            Rule::request_response().add_response_field(pointer),
            pointer,
        );
    }
}
