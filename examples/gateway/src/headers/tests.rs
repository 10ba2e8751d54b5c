use bartizan::core::Scheme;
use http::header::{CONTENT_LENGTH, COOKIE};

use super::*;

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn what_is_between_hops_is_removed() {
    let mut headers = headers(&[
        ("connection", "close, X-Own , keep-alive"),
        ("connection", "x-second"),
        ("x-own", "1"),
        ("x-second", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("accept", "*/*"),
        ("x-other", "1"),
    ]);
    remove_hop_by_hop(&mut headers);
    assert_eq!(names(&headers), ["accept", "x-other"]);
}

#[test]
fn what_is_for_the_end_is_kept_whatever_connection_says() {
    let mut headers = headers(&[
        ("connection", "content-length, cookie"),
        ("content-length", "5"),
        ("cookie", "a=b"),
    ]);
    remove_hop_by_hop(&mut headers);
    assert!(headers.contains_key(CONTENT_LENGTH) && headers.contains_key(COOKIE));
}

#[test]
fn what_only_the_gateway_says_is_removed_in_every_spelling() {
    let mut headers = headers(&[
        ("X-Bartizan-Subject", "root"),
        ("x_bartizan_subject", "root"),
        ("x-bartizan_subject", "root"),
        ("x-bartizan-anything", "x"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("x_forwarded_for", "1.2.3.4"),
        ("x-forwarded-client-cert", "x"),
        ("client-cert", "x"),
        ("forwarded", "for=1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
        ("proxy", "http://evil.example"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("content_length", "0"),
        ("transfer_encoding", "chunked"),
        ("x-bartizanic", "mine"),
        ("grpc_trace", "kept"),
    ]);
    remove_reserved(&mut headers);
    assert_eq!(names(&headers), ["grpc_trace", "x-bartizanic"]);
}

#[test]
fn a_websocket_is_the_one_thing_that_is_upgraded_to() {
    let check = |fields: &[(&str, &str)], expected: bool| {
        let asks = asks_for_websocket(&Method::GET, Version::HTTP_11, &headers(fields));
        assert_eq!(asks, expected, "{fields:?}");
    };
    check(&[("connection", "Upgrade"), ("upgrade", "WebSocket")], true);
    check(
        &[
            ("connection", "keep-alive, upgrade"),
            ("upgrade", "websocket"),
        ],
        true,
    );
    check(&[("upgrade", "websocket")], false);
    check(&[("connection", "upgrade"), ("upgrade", "h2c")], false);
    check(
        &[("connection", "upgrade"), ("upgrade", "websocket, h2c")],
        false,
    );
    let two = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
    ];
    check(&two, false);
    let good = headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
    assert!(!asks_for_websocket(&Method::POST, Version::HTTP_11, &good));
    assert!(!asks_for_websocket(&Method::GET, Version::HTTP_2, &good));
}

fn arrival(client: &str) -> Arrival<'static> {
    Arrival {
        client: Some(client.parse().unwrap()),
        host: "shop.example:8443",
        scheme: "https",
        version: Version::HTTP_2,
    }
}

#[test]
fn the_upstream_is_told_who_asks_as_the_gateway_knows_it() {
    let context = SecurityContext::new("/".parse().unwrap());
    let alice = Principal::builder(Scheme::Jwt, "https://issuer.example", "al%ice, \"x\"\n")
        .with_scopes(["orders:read", "a b"])
        .with_client("app");
    context.set_principal(alice.assert_verified()).unwrap();
    let mut fields = headers(&[
        ("authorization", "Bearer secret"),
        ("te", "trailers"),
        ("host", "shop.example"),
        ("x-bartizan-roles", "admin"),
        ("via", "1.1 edge"),
    ]);
    prepare(&mut fields, &arrival("192.0.2.1"), &context, "gate", false);
    for (name, value) in [
        ("x-bartizan-issuer", "https://issuer.example"),
        ("x-bartizan-subject", "al%25ice%2C%20%22x%22%0A"),
        ("x-bartizan-client", "app"),
        ("x-bartizan-scopes", "orders:read a%20b"),
        ("x-bartizan-roles", ""),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "shop.example:8443"),
        ("x-forwarded-proto", "https"),
        (
            "forwarded",
            "for=192.0.2.1;host=\"shop.example:8443\";proto=https",
        ),
        ("te", "trailers"),
    ] {
        assert_eq!(fields.get(name).unwrap(), value, "{name}");
    }
    let via: Vec<_> = fields.get_all("via").iter().collect();
    assert_eq!(via, ["1.1 edge", "2 gate"]);
    for absent in ["authorization", "host", "x-bartizan-peer"] {
        assert!(!fields.contains_key(absent), "{absent}");
    }
}

#[test]
fn a_token_is_passed_on_where_that_was_said() {
    let context = SecurityContext::new("/".parse().unwrap());
    let mut fields = headers(&[("authorization", "Bearer secret")]);
    prepare(&mut fields, &arrival("2001:db8::1"), &context, "gate", true);
    assert_eq!(fields["authorization"], "Bearer secret");
    assert_eq!(
        fields["forwarded"],
        "for=\"[2001:db8::1]\";host=\"shop.example:8443\";proto=https"
    );
}

#[test]
fn trailers_mean_nothing_that_a_head_would() {
    let mut trailers = headers(&[
        ("grpc-status", "0"),
        ("x-bartizan-subject", "root"),
        ("content-length", "3"),
        ("authorization", "Bearer x"),
        ("transfer-encoding", "chunked"),
    ]);
    clean_trailers(&mut trailers);
    assert_eq!(names(&trailers), ["grpc-status"]);
}

/// Whatever a name is made of (RFC 9110 §5.6.2) besides letters and digits.
const SEPARATORS: &str = "!#$%&'*+-.^_`|~";

#[test]
fn no_separator_of_a_name_makes_it_one_that_nobody_minds() {
    for separator in SEPARATORS.chars() {
        let spelt = |name: &str| name.replace('-', &separator.to_string());
        let ours = [
            "X-Bartizan-Subject",
            "x-bartizan-roles",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-real-ip",
            "client-cert",
            "x-http-method-override",
        ];
        let mut fields = HeaderMap::new();
        for name in ours {
            let name = HeaderName::from_bytes(spelt(name).as_bytes()).unwrap();
            fields.append(name, HeaderValue::from_static("root"));
        }
        fields.append("x-own", HeaderValue::from_static("kept"));
        let mut trailers = fields.clone();
        remove_reserved(&mut fields);
        assert_eq!(names(&fields), ["x-own"], "{separator}");

        let length = HeaderName::from_bytes(spelt("content-length").as_bytes()).unwrap();
        trailers.append(length, HeaderValue::from_static("3"));
        let coding = HeaderName::from_bytes(spelt("transfer-encoding").as_bytes()).unwrap();
        trailers.append(coding, HeaderValue::from_static("chunked"));
        clean_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["x-own"], "{separator}");

        for name in ["x-bartizan-subject", "X-Forwarded-For", "content-length"] {
            let named = headers(&[("connection", &format!("close, {}", spelt(name)))]);
            assert!(connection_is_abused(&named), "{separator} {name}");
        }
    }
}
