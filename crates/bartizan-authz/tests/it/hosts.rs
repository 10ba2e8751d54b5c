//! For which host a request is, where that could be read in more than one way.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bartizan_authz::{Rule, Targets};
use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::support::layer;

/// Status and code of what a client sees that asks for this target, with these fields.
async fn ask(target: &str, hosts: &[&[u8]]) -> (u16, String) {
    let shop = Targets::any_method("/orders").host("shop.example");
    let app = Router::new()
        .fallback(any(async || "answer"))
        .layer(layer([Rule::allow("shop").to(shop)]));
    let mut request = Request::get(target).body(Body::empty()).unwrap();
    for host in hosts {
        let value = HeaderValue::from_bytes(host).unwrap();
        request.headers_mut().append("host", value);
    }
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body);
    let codes = ["authz.ambiguous_host", "authz.denied"];
    let code = codes.into_iter().find(|code| body.contains(code));
    (status, code.unwrap_or(&body).to_owned())
}

#[tokio::test]
async fn a_request_of_two_hosts_is_refused_before_the_service_believes_either() {
    async fn check(target: &str, hosts: &[&str], expected: (u16, &str)) {
        let fields: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes()).collect();
        let (status, code) = ask(target, &fields).await;
        assert_eq!((status, &*code), expected, "{target} {hosts:?}");
    }
    let good = (200, "answer");
    let denied = (403, "authz.denied");
    let ambiguous = (400, "authz.ambiguous_host");
    let whole = "http://shop.example/orders";
    check("/orders", &["shop.example"], good).await;
    check("/orders", &["shop.example:8080"], good).await;
    check(whole, &[], good).await;
    check(whole, &["SHOP.example"], good).await;
    check("/orders", &["shop.example", "shop.example"], good).await;
    check("/orders", &[], denied).await;
    check("/orders", &["admin.example"], denied).await;
    check("/orders", &["[::1]shop.example"], denied).await;

    check(whole, &["admin.example"], ambiguous).await;
    check("http://admin.example/orders", &["shop.example"], ambiguous).await;
    check("/orders", &["shop.example", "admin.example"], ambiguous).await;
    check("/orders", &["admin.example", "shop.example"], ambiguous).await;
    check(whole, &["shop.example", "admin.example"], ambiguous).await;
    // What is no host and port: somebody else may read another one in it.
    for other in [
        "admin.example@shop.example",
        "shop.example/..",
        "shop.example?",
        "shop.example#",
        "shop.example:http",
        "shop.example:65536",
    ] {
        check("/orders", &[other], ambiguous).await;
    }
}

#[tokio::test]
async fn a_host_that_is_no_text_is_refused() {
    let (status, code) = ask("/orders", &[b"shop.example\xff"]).await;
    assert_eq!((status, &*code), (400, "authz.ambiguous_host"));
}
