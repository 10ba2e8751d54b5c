//! What requests are counted by.

use std::task::{Context, Waker};

use bartizan_core::{Entrance, Principal, RouteTable, Scheme};
use bartizan_ratelimit::{ConfigError, Key, MissingKey, Policy, Rate, RateLimitLayer};
use bartizan_testkit::{Host, ManualClock};
use http::HeaderName;

use crate::support::{Asked, admits, call_from, config, connection, layer};

/// A layer that admits one request per key.
fn once(key: Key) -> RateLimitLayer {
    layer(config(key, &ManualClock::default()).add_policy(Policy::new("once", Rate::per_hour(1))))
}

/// Asks with the first request twice, and then with another: is that another key?
fn is_apart(key: Key, first: impl Fn() -> Asked, mut other: Asked) -> bool {
    let layer = once(key);
    assert!(first().ask(&layer).is_ok());
    assert!(first().ask(&layer).is_err());
    other.ask(&layer).is_ok()
}

fn is_missing(key: Key, mut asked: Asked) -> bool {
    let refused = asked.ask(&once(key)).err();
    refused.is_some_and(|refused| refused.code().as_str() == "ratelimit.no_key")
}

#[tokio::test]
async fn addresses_count_by_subscriber() {
    for (first, other, apart) in [
        ("192.0.2.1", "192.0.2.2", true),
        ("192.0.2.1", "::ffff:192.0.2.1", false),
        ("192.0.2.1", "64:ff9b::192.0.2.1", false),
        ("2001:db8::1", "2001:db8::ffff:1", false),
        ("2001:db8::1", "2001:db8:0:1::1", true),
        ("2001:db8::1", "192.0.2.1", true),
        ("0.0.0.0", "::", true),
    ] {
        let layer = once(Key::address());
        assert!(admits(&layer, first).await);
        assert_eq!(admits(&layer, other).await, apart, "{first} {other}");
    }
    let layer = once(Key::network(24, 48));
    assert!(admits(&layer, "192.0.2.1").await);
    assert!(!admits(&layer, "192.0.2.200").await);
    assert!(admits(&layer, "2001:db8::1").await);
    assert!(!admits(&layer, "2001:db8:0:ffff::1").await);
}

#[test]
fn principals_count_by_issuer_and_subject() {
    let alice = || Asked::new().with_principal("https://a.example", "alice", Some("shop"));
    let other = |issuer, subject, client| Asked::new().with_principal(issuer, subject, client);
    let namesake = || other("https://b.example", "alice", Some("shop"));
    let bob = || other("https://a.example", "bob", Some("shop"));
    assert!(is_apart(Key::subject(), alice, namesake()));
    assert!(is_apart(Key::subject(), alice, bob()));
    assert!(is_apart(Key::client(), alice, namesake()));
    assert!(!is_apart(Key::client(), alice, bob()));
    assert!(is_apart(Key::issuer(), alice, namesake()));
    assert!(!is_apart(Key::issuer(), alice, bob()));
    // Where the boundary is moved, the key is another.
    let moved = other("https://a.examplea", "lice", None);
    assert!(is_apart(Key::subject(), alice, moved));
    let both = || Key::all([Key::subject(), Key::client()]);
    assert!(is_apart(both(), alice, bob()));
    assert!(!is_apart(both(), alice, alice()));
}

#[test]
fn peers_count_by_identity_or_trust_domain() {
    let web = || Asked::new().with_peer("spiffe://example.org/web");
    let api = || Asked::new().with_peer("spiffe://example.org/api");
    let foreign = || Asked::new().with_peer("spiffe://example.com/web");
    assert!(is_apart(Key::peer(), web, api()));
    assert!(!is_apart(Key::trust_domain(), web, api()));
    assert!(is_apart(Key::trust_domain(), web, foreign()));
}

#[test]
fn a_key_that_is_not_proven_is_missing() {
    let bare = || Asked::new().with_header("authorization", "Bearer whatever-one-likes");
    for key in [
        Key::address(),
        Key::api_key(),
        Key::client(),
        Key::grpc_method(),
        Key::issuer(),
        Key::peer(),
        Key::subject(),
        Key::template(),
        Key::trust_domain(),
        Key::header("x-tenant".parse().unwrap()).unwrap(),
        Key::custom(|_, _| None),
        Key::all([Key::everybody(), Key::subject()]),
    ] {
        let name = format!("{key:?}");
        assert!(is_missing(key, bare()), "{name}");
    }
    assert!(!is_missing(Key::everybody(), bare()));
    let without_client = Asked::new().with_principal("https://a.example", "alice", None);
    assert!(is_missing(Key::client(), without_client));
}

#[test]
fn an_unverified_credential_is_no_key() {
    for name in [
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
    ] {
        let name: HeaderName = name.parse().unwrap();
        let refused = Key::header(name.clone());
        assert!(matches!(refused, Err(ConfigError::CredentialHeader(it)) if it == name.as_str()));
    }
}

#[test]
fn headers_count_by_all_their_values() {
    let key = || Key::header("x-tenant".parse().unwrap()).unwrap();
    let one = || Asked::new().with_header("x-tenant", "a");
    assert!(is_apart(
        key(),
        one,
        Asked::new().with_header("x-tenant", "b")
    ));
    let two = Asked::new()
        .with_header("x-tenant", "a")
        .with_header("x-tenant", "b");
    assert!(is_apart(key(), one, two));
}

#[test]
fn grpc_methods_count_apart_from_http() {
    let grpc = || Asked::new().with_header("content-type", "application/grpc+proto");
    assert!(!is_apart(Key::grpc_method(), grpc, grpc()));
    assert!(is_missing(Key::grpc_method(), Asked::new()));
}

#[test]
fn closures_write_what_they_like() {
    let key = || {
        Key::custom(|inspection, key| {
            key.text(inspection.context.principal()?.subject());
            key.number(7);
            Some(())
        })
    };
    let alice = || Asked::new().with_principal("https://a.example", "alice", None);
    let namesake = Asked::new().with_principal("https://b.example", "alice", None);
    assert!(!is_apart(key(), alice, namesake));
    assert!(is_missing(key(), Asked::new()));
}

#[test]
fn an_api_key_counts_once_it_is_verified() {
    let by = |scheme, issuer, id: &'static str| {
        let asked = Asked::new();
        let principal = Principal::builder(scheme, issuer, "alice").with_token_id(id);
        let principal = principal.assert_verified();
        asked.context.set_principal(principal).unwrap();
        asked
    };
    let first = || by(Scheme::ApiKey, "keys", "k1");
    assert!(!is_apart(Key::api_key(), first, first()));
    assert!(is_apart(
        Key::api_key(),
        first,
        by(Scheme::ApiKey, "keys", "k2")
    ));
    assert!(is_apart(
        Key::api_key(),
        first,
        by(Scheme::ApiKey, "other", "k1")
    ));
    assert!(is_missing(Key::api_key(), by(Scheme::Jwt, "keys", "k1")));
    // A key that was sent and not verified is none.
    assert!(is_missing(
        Key::api_key(),
        Asked::new().with_header("x-api-key", "k1")
    ));
}

/// Looks the client up, which takes a while.
fn looked_up() -> Key {
    Key::custom_async(|inspection| {
        let address = inspection.context.address();
        async move {
            tokio::task::yield_now().await;
            let address = address?.to_string();
            (!address.starts_with("198.")).then_some(address)
        }
    })
}

#[tokio::test]
async fn keys_may_be_asked_for_on_every_host() {
    for host in Host::WITHOUT_SOCKETS {
        let key = Key::all([Key::everybody(), looked_up(), looked_up()]);
        let layer = once(key);
        let send = async |address: &str| {
            let answer = host.send(&layer, &call_from(address)).await.unwrap();
            answer.code()
        };
        assert_eq!(send("192.0.2.1").await, None, "{host:?}");
        assert_eq!(
            send("192.0.2.1").await.as_deref(),
            Some("ratelimit.exceeded"),
            "{host:?}"
        );
        assert_eq!(send("192.0.2.2").await, None, "{host:?}");
        assert_eq!(
            send("198.51.100.1").await.as_deref(),
            Some("ratelimit.no_key"),
            "{host:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_charged_until_the_key_is_there() {
    let key = Key::custom_async(|_| std::future::pending::<Option<String>>());
    let layer = once(key);
    let call = call_from("192.0.2.1");
    let mut waiting = Box::pin(Host::Hyper.send(&layer, &call));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert_eq!(layer.limiter().occupancy()[0].live, 0);
}

#[test]
fn requests_without_a_key_do_what_they_are_told() {
    let layer = |missing| {
        let config = config(Key::subject(), &ManualClock::default());
        layer(
            config
                .add_policy(Policy::new("once", Rate::per_hour(1)))
                .with_missing_key(missing),
        )
    };
    let passing = layer(MissingKey::Pass);
    let sharing = layer(MissingKey::Share);
    for round in 0..3 {
        assert!(Asked::new().ask(&passing).is_ok());
        assert_eq!(Asked::new().ask(&sharing).is_ok(), round == 0);
    }
    let mut alice = Asked::new().with_principal("https://a.example", "alice", None);
    assert!(alice.ask(&sharing).is_ok());
}

#[tokio::test]
async fn templates_count_all_paths_of_a_route() {
    let routes = RouteTable::new(["/echo", "/stream/{count}"]).unwrap();
    let key = Key::all([Key::template(), Key::address()]);
    let layer = once(key).with_entrance(Entrance::new().with_routes(routes));
    let send = async |path: &str| {
        let call = call_from("192.0.2.1")
            .with_http_path(path)
            .with_http_method(http::Method::GET)
            .with_connection(connection("192.0.2.1"));
        let answer = Host::Hyper.send(&layer, &call).await.unwrap();
        answer.code()
    };
    assert_eq!(send("/stream/1").await, None);
    assert_eq!(
        send("/stream/2").await.as_deref(),
        Some("ratelimit.exceeded")
    );
    assert_eq!(send("/made/up").await.as_deref(), Some("ratelimit.no_key"));
}

#[test]
fn tiers_apply_to_those_who_have_them() {
    let config = config(Key::subject(), &ManualClock::default())
        .add_policy_if(Policy::new("free", Rate::per_hour(1)), |inspection| {
            inspection
                .context
                .principal()
                .is_some_and(|it| it.client() == Some("free"))
        })
        .add_policy_if(Policy::new("gold", Rate::per_hour(3)), |inspection| {
            inspection
                .context
                .principal()
                .is_some_and(|it| it.client() == Some("gold"))
        });
    let layer = layer(config);
    let ask = |client| {
        let mut asked = Asked::new().with_principal("https://a.example", "alice", Some(client));
        asked.ask(&layer).map_err(|refused| refused.code().as_str())
    };
    let admitted = |client| (0..5).filter(|_| ask(client).is_ok()).count();
    assert_eq!(admitted("free"), 1);
    assert_eq!(admitted("gold"), 3);
    assert_eq!(ask("other").err(), Some("ratelimit.no_policy"));
}
