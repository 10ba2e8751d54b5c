use super::*;
use crate::authorization_server::ClientAuthentication;

fn request() -> TokenRequest {
    let authentication = ClientAuthentication::basic("orders", "secret");
    let endpoint = TokenEndpoint::builder("https://issuer.example/token", authentication);
    TokenRequest::new(endpoint.build().unwrap())
}

#[track_caller]
fn check(request: TokenRequest, expected: bool) {
    let config = OutgoingConfig::client_credentials(request)
        .add_destination("https://b.example")
        .build();
    assert_eq!(config.is_ok(), expected, "{config:?}");
}

#[test]
fn what_cannot_be_asked_for_is_refused_when_it_is_configured() {
    check(request(), true);
    check(request().with_scopes(["a:b", "c/d"]), true);
    check(request().with_scopes(["a b"]), false);
    check(request().with_scopes([""]), false);
    check(request().with_scopes(["a\"b"]), false);
    check(request().add_audience("payments"), true);
    check(request().add_audience(""), false);
    check(request().add_resource("https://b.example/x"), true);
    check(request().add_resource("b.example"), false);
    check(request().add_resource("https://b.example/#x"), false);
}

#[test]
fn limits_are_bounded() {
    let build = |tokens, requests| {
        let builder = OutgoingConfig::exchange(request()).add_destination("https://b.example");
        let builder = builder
            .with_cached_tokens(tokens)
            .with_concurrent_requests(requests);
        builder.build().is_ok()
    };
    assert!(build(1, 1) && build(1 << 20, 1 << 16));
    assert!(!build(0, 1) && !build(1, 0) && !build((1 << 20) + 1, 1) && !build(1, (1 << 16) + 1));
}

#[test]
fn debug_prints_no_secret() {
    let builder = OutgoingConfig::exchange(request()).add_destination("https://b.example");
    let printed = format!("{builder:?} {:?}", builder.clone().build());
    assert!(
        printed.contains("orders") && !printed.contains("secret\""),
        "{printed}"
    );
}
