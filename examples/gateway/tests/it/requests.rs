//! What passes, what is refused, and what the upstream gets to see.

use serde_json::Value;

use crate::support::{Town, echo};

#[tokio::test]
async fn each_route_asks_for_what_its_policy_says() {
    let town = Town::new().await;
    let gate = town.start(&town.plain(echo().await)).await;
    let client = town.client(None);
    let good = town.token().sign().unwrap();
    let poor = town.token().scope("other").sign().unwrap();
    let foreign = town.token().audience("other").sign().unwrap();
    for (path, token, status, says) in [
        ("/open/a?b=c", None, 200, r#""GET /open/a?b=c""#),
        (
            "/open/a",
            Some(&good),
            200,
            r#""x-bartizan-subject":"alice""#,
        ),
        ("/open/a", Some(&foreign), 401, "jwt.wrong_audience"),
        ("/api/a", Some(&good), 200, r#""GET /api/a""#),
        ("/api/a", None, 401, "authz.unauthenticated"),
        ("/api/a", Some(&poor), 403, "authz.denied"),
        ("/api/admin/a", Some(&good), 403, "authz.denied"),
        ("/api/ADMIN/a", Some(&good), 403, "authz.denied"),
        ("/api/%61dmin/a", Some(&good), 403, "authz.denied"),
        ("/internal/a", Some(&good), 403, "authz.denied"),
        ("/elsewhere", Some(&good), 403, "authz.denied"),
        ("/nowhere", None, 421, "gateway.no_route"),
    ] {
        let mut request = client.get(gate.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let challenged = answer.headers().contains_key("www-authenticate");
        assert_eq!(challenged, status == 401, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(says), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_upstream_gets_the_path_that_was_decided_on() {
    let town = Town::new().await;
    let gate = town.start(&town.plain(echo().await)).await;
    let client = town.client(None);
    let answer = client.get(gate.url("/open/%61%20b?%61=%62")).send().await;
    let seen: Value = serde_json::from_str(&answer.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(seen[":line"], "GET /open/a%20b?%61=%62");
}

#[tokio::test]
async fn what_only_the_gateway_says_cannot_be_said_by_anybody_else() {
    let town = Town::new().await;
    let upstream = echo().await;
    let gate = town.start(&town.plain(upstream)).await;
    let client = town.client(None);
    let token = town.token().sign().unwrap();
    let spoofed = |path: &str| {
        client
            .get(gate.url(path))
            .header("x-bartizan-subject", "root")
            .header("X_Bartizan_Subject", "root")
            .header("x-bartizan-peer", "spiffe://example.org/admin")
            .header("x-bartizan-roles", "admin")
            .header("x-forwarded-for", "6.6.6.6")
            .header("x-forwarded-proto", "https")
            .header("forwarded", "for=6.6.6.6")
            .header("x-real-ip", "6.6.6.6")
            .header("x-http-method-override", "DELETE")
            .header("proxy-authorization", "Basic cm9vdDpyb290")
            .header("keep-alive", "timeout=5")
    };
    for (token, subject) in [(None, Value::Null), (Some(&token), Value::from("alice"))] {
        let mut request = spoofed("/open/a");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(
            !text.contains("root") && !text.contains("6.6.6.6"),
            "{text}"
        );
        assert!(
            !text.contains("admin") && !text.contains("DELETE"),
            "{text}"
        );
        let seen: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(seen["x-bartizan-subject"], subject);
        assert_eq!(seen["x-forwarded-for"], "127.0.0.1");
        assert_eq!(seen["x-forwarded-proto"], "http");
        assert_eq!(seen["x-forwarded-host"], gate.at.requests.to_string());
        assert_eq!(seen["host"], upstream.to_string());
        assert_eq!(seen["via"], "1.1 gate");
        // What the upstream does not have, it cannot lose.
        assert_eq!(seen["authorization"], Value::Null);
        assert_eq!(seen["keep-alive"], Value::Null);
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_about_the_client_and_nobody_else() {
    let town = Town::new().await;
    let text = town.plain(echo().await);
    let trusting = text.replace("name = ", "trusted_proxies = [\"127.0.0.0/8\"]\nname = ");
    let client = town.client(None);
    for (text, expected) in [(text, "127.0.0.1"), (trusting, "192.0.2.7")] {
        let gate = town.start(&text).await;
        let request = client.get(gate.url("/open/a"));
        let request = request.header("x-forwarded-for", "6.6.6.6, 192.0.2.7");
        let seen = request.send().await.unwrap().text().await.unwrap();
        let seen: Value = serde_json::from_str(&seen).unwrap();
        assert_eq!(seen["x-forwarded-for"], expected);
        let forwarded = seen["forwarded"].as_str().unwrap();
        assert!(
            forwarded.starts_with(&format!("for={expected};")),
            "{forwarded}"
        );
    }
}

#[tokio::test]
async fn a_host_has_its_own_routes_and_may_be_kept() {
    let town = Town::new().await;
    let (one, two) = (echo().await, echo().await);
    let text = town.plain(one).replace(
        "[[route]]\n            paths = [\"/open/",
        &format!(
            "[upstream.two]\naddress = \"{two}\"\npreserve_host = true\n\n[[route]]\n\
             paths = [\"/open/{{*rest}}\"]\nhosts = [\"two.example\"]\nupstream = \"two\"\n\n\
             [[route]]\n            paths = [\"/open/"
        ),
    );
    let gate = town.start(&text).await;
    let client = town.client(None);
    let host = async |name: &str| {
        let request = client.get(gate.url("/open/a")).header("host", name);
        let text = request.send().await.unwrap().text().await.unwrap();
        let seen: Value = serde_json::from_str(&text).unwrap();
        seen["host"].as_str().unwrap().to_owned()
    };
    assert_eq!(host("two.example:8080").await, "two.example:8080");
    assert_eq!(host("TWO.example").await, "TWO.example");
    assert_eq!(host("one.example").await, one.to_string());
}

#[tokio::test]
async fn a_host_goes_where_the_policy_took_it_for() {
    let town = Town::new().await;
    let policy = r#"
        version = 1
        [[rule]]
        name = "the second is open to everybody, and it alone"
        effect = "allow"
        to = [{ hosts = ["two.example"], paths = ["/open/{*rest}"] }]
    "#;
    std::fs::write(town.folder.join("policy.toml"), policy).unwrap();
    let (one, two) = (echo().await, echo().await);
    let text = town.plain(one).replace(
        "[[route]]\n            paths = [\"/open/",
        &format!(
            "[upstream.two]\naddress = \"{two}\"\n\n[[route]]\npaths = [\"/open/{{*rest}}\"]\n\
             hosts = [\"Two.example.\"]\nupstream = \"two\"\n\n\
             [[route]]\n            paths = [\"/open/"
        ),
    );
    let gate = town.start(&text).await;
    let client = town.client(None);
    for (host, goes) in [
        ("two.example", true),
        ("two.example.", true),
        ("TWO.example.:8080", true),
        ("two.example:", true),
        ("two.example..", false),
        (".", false),
        ("one.example", false),
        ("one.example.", false),
    ] {
        let request = client.get(gate.url("/open/a")).header("host", host);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status() == 200, goes, "{host}");
        if goes {
            let seen: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(seen["host"], two.to_string(), "{host}");
        }
    }
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_to_wait() {
    let town = Town::new().await;
    let text = town
        .plain(echo().await)
        .replace("burst = 10000", "burst = 3");
    let gate = town
        .start(&text.replace("per_second = 10000", "per_second = 1"))
        .await;
    let client = town.client(None);
    let mut last = None;
    for _ in 0..5 {
        last = Some(client.get(gate.url("/open/a")).send().await.unwrap());
    }
    let last = last.unwrap();
    assert_eq!(last.status(), 429);
    assert!(last.text().await.unwrap().contains("ratelimit.exceeded"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_or_not_it_says_so() {
    let town = Town::new().await;
    let gate = town.start(&town.plain(echo().await)).await;
    let client = town.client(None);
    let large = vec![b'x'; 1_000_001];
    let declared = client.post(gate.url("/open/a")).body(large);
    assert_eq!(declared.send().await.unwrap().status(), 413);
}
