//! Services that are deliberately weak, at least one for each class: each is caught, by the attacks
//! that it is weak against.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bartizan_attack::{Class, Report, Target, Verdict, run, run_at};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::servers::{any_certificate, naive_server};
use crate::support::{Town, routes};

/// Each of these is a finding.
#[track_caller]
fn caught(report: &Report, names: &[&str]) {
    let found: BTreeSet<&str> = report.findings().map(|it| it.name).collect();
    for name in names {
        assert!(
            found.contains(name),
            "{name}: {:?}\n{report}",
            report.verdict(name)
        );
    }
}

/// None of these is.
#[track_caller]
fn held(report: &Report, names: &[&str]) {
    for name in names {
        assert_eq!(
            report.verdict(name),
            Some(&Verdict::Held),
            "{name}\n{report}"
        );
    }
}

fn refused() -> Response {
    StatusCode::UNAUTHORIZED.into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("authorization")?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

/// Reads tokens, and believes what they say of themselves.
async fn believes_tokens(request: Request, next: Next) -> Response {
    let part = |token: &str, index| {
        let part = token.split('.').nth(index)?;
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let Some(token) = bearer(request.headers()).map(str::to_owned) else {
        return refused();
    };
    match (part(&token, 0), part(&token, 1)) {
        (Some(header), Some(claims)) if header["alg"] != "" && claims["sub"].is_string() => {
            next.run(request).await
        }
        _ => refused(),
    }
}

#[tokio::test]
async fn a_service_that_reads_tokens_and_verifies_nothing_is_caught() {
    let town = Town::new();
    let app = routes().layer(from_fn(believes_tokens));
    let run = run(app).only(Class::Tokens).with_target(town.target());
    let report = run.await;
    caught(
        &report,
        &[
            "token.alg-none",
            "token.hs256-with-public-key",
            "token.crit-unknown",
            "token.jwk-embedded",
            "token.kid-path",
            "token.signature-zeros",
            "token.subject-changed",
            "token.exp-past",
            "token.iss-other",
            "token.aud-missing",
            "token.bound-to-key-as-bearer",
            "token.two-fields-good-first",
        ],
    );
    held(
        &report,
        &["token.absent", "token.in-query", "token.one-part"],
    );
}

/// A field is as good as a token, and any address that says it is ours is ours.
async fn believes_headers(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let ours = headers
        .get("x-forwarded-for")
        .is_some_and(|it| it == "127.0.0.1");
    let mut response = match headers.get("x-user").cloned() {
        Some(user) => {
            let mut response = next.run(request).await;
            response.headers_mut().insert("x-hello", user);
            response
        }
        None if ours || bearer(headers).is_some() => next.run(request).await,
        None => refused(),
    };
    response
        .headers_mut()
        .insert("x-served", "1".parse().unwrap());
    response
}

#[tokio::test]
async fn a_service_that_believes_headers_is_caught() {
    let town = Town::new();
    let app = routes().layer(from_fn(believes_headers));
    let run = run(app).only(Class::Headers).with_target(town.target());
    let report = run.await;
    caught(
        &report,
        &[
            "header.identity-user",
            "header.identity-in-other-case",
            "header.address-x-forwarded-for",
            "header.identity-beside-credential",
        ],
    );
    held(&report, &["header.identity-role", "header.product-kong"]);
}

/// Panics on depth, fails on what is not JSON, and takes bodies from anybody.
async fn trusts_bodies(headers: HeaderMap, body: Bytes) -> Response {
    assert!(!body.starts_with(b"[[[["), "too deep for me");
    match serde_json::from_slice::<Value>(&body) {
        Ok(_) => "taken".into_response(),
        Err(_) if bearer(&headers).is_none() => "whatever".into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[tokio::test]
async fn a_service_that_trusts_bodies_is_caught() {
    let town = Town::new();
    let app = Router::new().route("/orders/7", get(trusts_bodies).post(trusts_bodies));
    let target = town.target().with_json(&json!({ "article": "lamp" }));
    let report = run(app).only(Class::Bodies).with_target(target).await;
    caught(
        &report,
        &[
            "body.json-deep-lists",
            "body.json-cut-off",
            "body.json-not-utf-8",
            "body.json-without-credential",
            "body.xml-entities",
        ],
    );
    let deep = report.verdict("body.json-deep-lists");
    assert!(
        matches!(deep, Some(Verdict::Finding(why)) if why.contains("too deep for me")),
        "{deep:?}"
    );
    held(&report, &["body.json-members-huge"]);
}

/// Guards what begins like the closed path as it is spelled, and takes methods from a field.
async fn compares_spellings(
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let overridden = request.headers().contains_key("x-http-method-override");
    let closed = uri.path().starts_with("/orders/") && !uri.path().ends_with(".css");
    match closed && !overridden && bearer(request.headers()).is_none() {
        true => refused(),
        false => next.run(request).await,
    }
}

#[tokio::test]
async fn a_service_that_compares_spellings_is_caught() {
    let town = Town::new();
    // Routes are found without regard to case and slashes, as some frameworks find them.
    let lenient = Router::new().fallback(async |uri: axum::http::Uri| {
        let path = uri
            .path()
            .to_ascii_lowercase()
            .replace("//", "/")
            .replace("%37", "7");
        match path.contains("/orders/7") {
            true => (StatusCode::OK, "order 7"),
            false => (StatusCode::NOT_FOUND, ""),
        }
    });
    let app = lenient.layer(from_fn(compares_spellings));
    let target = town.target();
    let report = run(app).only(Class::Protocol).with_target(target).await;
    caught(
        &report,
        &[
            "protocol.path-in-other-case",
            "protocol.path-with-empty-segment",
            "protocol.path-with-extension",
            "protocol.path-with-dots",
            "protocol.method-override",
        ],
    );
    held(
        &report,
        &["protocol.method-head", "protocol.path-with-slash-behind"],
    );
}

/// Says what is there before it asks who is asking, repeats what it was sent, and answers any page.
async fn tells(request: Request, next: Next) -> Response {
    let known = ["/orders/7", "/healthz"].contains(&request.uri().path());
    let origin = request.headers().get("origin").cloned();
    let path = request.uri().to_string();
    let mut response = match (known, bearer(request.headers()).is_some()) {
        (false, false) => (StatusCode::NOT_FOUND, format!("no {path}")).into_response(),
        (true, false) if path != "/healthz" => {
            (StatusCode::UNAUTHORIZED, format!("{:?}", request.headers())).into_response()
        }
        _ => next.run(request).await,
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert("access-control-allow-origin", origin);
    }
    response
}

#[tokio::test]
async fn a_service_that_tells_too_much_is_caught() {
    let town = Town::new();
    let app = routes().route("/healthz", get(async || "alive"));
    let app = app.layer(from_fn(tells));
    let target = town.target().with_limit(20);
    let report = run(app).only(Class::Order).with_target(target).await;
    caught(
        &report,
        &[
            "order.unknown-path-told-apart",
            "order.refusal-repeats-field",
            "order.refusal-repeats-token",
            "order.request-of-foreign-page",
            "order.preflight-of-foreign-page",
            "order.forbidden",
            "order.limit-is-there",
        ],
    );
    held(&report, &["order.prefetch-without-credential"]);
}

/// Takes the identity of a peer from a header, as behind a proxy.
async fn believes_proxies(request: Request, next: Next) -> Response {
    let known = {
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|it| it.to_str().ok());
        let asserted = text("x-forwarded-client-cert").unwrap_or_default();
        asserted.contains("URI=spiffe://example.org/web")
            || text("x-spiffe-id") == Some("spiffe://example.org/web")
            || bearer(headers).is_some()
    };
    match known {
        true => next.run(request).await,
        false => refused(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_asks_no_certificate_is_caught() {
    let town = Town::new();
    // Its listener takes workloads of the whole trust domain, and nothing behind it asks which.
    let remote = town
        .tls("weak", routes().layer(from_fn(believes_proxies)))
        .await;
    let run = run_at(remote)
        .only(Class::Certificates)
        .with_target(town.target());
    let report = run.await;
    caught(
        &report,
        &[
            "certificate.of-another-workload",
            "certificate.asserted-by-envoy",
            "certificate.asserted-as-identity",
        ],
    );
    held(
        &report,
        &[
            "certificate.absent",
            "certificate.of-impostor",
            "certificate.expired",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_believes_any_certificate_is_caught() {
    let town = Town::new();
    let remote = any_certificate(&town, routes()).await;
    let run = run_at(remote)
        .only(Class::Certificates)
        .with_target(town.target());
    let report = run.await;
    caught(
        &report,
        &[
            "certificate.absent",
            "certificate.of-impostor",
            "certificate.expired",
            "certificate.of-servers",
            "certificate.of-two-workloads",
            "certificate.named-by-host",
        ],
    );
}

/// A server of HTTP/1.1 that reads lengths and never chunks, and forgets who asked in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_frames_requests_by_itself_is_caught() {
    let remote = naive_server().await;
    let target = Target::get("/").with_bearer("secret");
    let report = run_at(remote).with_target(target).await;
    caught(
        &report,
        &[
            "protocol.smuggled-chunks-then-length",
            "protocol.pipelined-without-credential",
            "header.space-before-colon",
            "header.value-with-nul",
            "body.length-twice",
            "body.chunk-size-malformed",
        ],
    );
}

/// A control request that is not accepted is no proof of anything.
#[tokio::test]
async fn a_service_that_refuses_everything_is_not_called_strong() {
    let town = Town::new();
    let app = Router::new().fallback(async || StatusCode::UNAUTHORIZED);
    let report = run(app).with_target(town.target()).await;
    let counts = report.counts(None);
    assert_eq!((counts.held, counts.findings), (0, 0), "{report}");
    assert!(counts.unjudged > 300, "{report}");
    let judged = std::panic::catch_unwind(|| report.assert_none_got_in());
    assert!(judged.is_err());
}

/// One that fails once it was attacked is caught, though it refused the attack.
#[tokio::test]
async fn a_service_that_does_not_survive_is_caught() {
    let broken = AtomicBool::new(false);
    let broken = Arc::new(broken);
    let handler = move |headers: HeaderMap| {
        let token = bearer(&headers).unwrap_or_default().to_owned();
        let trips = broken.fetch_or(token.len() > 50_000, Ordering::Relaxed);
        async move {
            match token.len() {
                _ if trips => StatusCode::INTERNAL_SERVER_ERROR,
                100..1000 => StatusCode::OK,
                _ => StatusCode::UNAUTHORIZED,
            }
        }
    };
    let town = Town::new();
    let app = Router::new().fallback(handler);
    let run = run(app).only(Class::Tokens).with_target(town.target());
    let report = run.await;
    let verdict = report.verdict("token.large");
    assert!(
        matches!(verdict, Some(Verdict::Finding(why)) if why.contains("afterwards: 500")),
        "{verdict:?}"
    );
}
