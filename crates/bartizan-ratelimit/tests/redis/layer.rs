//! The layer, with a store behind it, in front of every host.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bartizan_core::{Connection, Event, observe_fn};
use bartizan_ratelimit::{
    Fallback, Fields, Key, Policy, Rate, RateLimitConfig, RateLimitConfigBuilder, RateLimitLayer,
};
use bartizan_testkit::{Answer, Call, Host};

use crate::server::Server;
use crate::support::{among, store, until};

fn call_from(address: &str) -> Call {
    let connection = Connection::from_remote(SocketAddr::new(address.parse().unwrap(), 4_000));
    Call::echo("hello").with_connection(connection)
}

fn config(server: &Server, policies: &[Policy]) -> RateLimitConfigBuilder {
    let mut config = RateLimitConfig::builder(Key::address()).with_store(store(server), among(4));
    for policy in policies {
        config = config.add_policy(policy.clone());
    }
    config
}

fn layer(config: RateLimitConfigBuilder) -> RateLimitLayer {
    RateLimitLayer::new(config.build().unwrap())
}

async fn send(host: Host, layer: &RateLimitLayer, address: &str) -> Answer {
    host.send(layer, &call_from(address)).await.unwrap()
}

/// What the layer has recorded of a request that passed.
fn detail(answer: &Answer) -> String {
    let decisions = &answer.json()["context"]["decisions"];
    let last = decisions.as_array().unwrap().last().unwrap();
    last["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn instances_share_limits_on_every_host() {
    let Some(server) = Server::start().await else {
        return;
    };
    for (number, host) in Host::WITHOUT_SOCKETS.into_iter().enumerate() {
        let address = format!("192.0.2.{number}");
        let policy = Policy::new("burst", Rate::per_hour(3));
        let layers = [0, 1].map(|_| {
            layer(config(&server, std::slice::from_ref(&policy)).with_fields(Fields::Standard))
        });
        for turn in 0..3 {
            let answer = send(host, &layers[turn % 2], &address).await;
            assert!(answer.is_success(), "{host:?}: {answer:?}");
            assert_eq!(detail(&answer), "redis", "{host:?}");
            if turn == 2 {
                assert_eq!(
                    answer.header("ratelimit"),
                    Some(r#""burst";r=0;t=1200"#),
                    "{host:?}"
                );
            }
        }
        for _ in 0..2 {
            let refused = send(host, &layers[1], &address).await;
            assert_eq!(
                refused.code().as_deref(),
                Some("ratelimit.exceeded"),
                "{host:?}"
            );
            let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
            assert!((1_190..=1_200).contains(&wait), "{host:?}: {wait}");
            assert_eq!(
                refused.header("ratelimit-policy"),
                Some(r#""burst";q=3;w=3600"#)
            );
        }
    }
}

#[tokio::test]
async fn decisions_say_where_the_verdict_comes_from() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    let observer = observe_fn(move |event| {
        notes.lock().unwrap().push(match event {
            Event::Decision(event) => format!("{:?}", event.decision().detail()),
            Event::Lifecycle(event) => event.code().as_str().to_owned(),
            _ => String::new(),
        });
    });
    let policy = Policy::new("limit", Rate::per_hour(400_000));
    let layer = layer(config(&server, &[policy]).with_observer(Arc::new(observer)));
    let was_told = |what: &str| told.lock().unwrap().iter().any(|it| it == what);
    until(async || {
        send(Host::Hyper, &layer, "192.0.2.1").await;
        was_told(r#"Some("lease")"#)
    })
    .await;
    assert!(was_told(r#"Some("redis")"#));
    server.kill();
    until(async || {
        send(Host::Hyper, &layer, "192.0.2.2").await;
        was_told("ratelimit.store_lost")
    })
    .await;
    assert!(was_told(r#"Some("fallback")"#));
    assert!(layer.shared().unwrap().status().is_lost);
    server.restart().await;
    until(async || was_told("ratelimit.store_back")).await;
    let small = Policy::new("small", Rate::per_hour(1));
    let small = super::layer::layer(config(&server, &[small]));
    for expected in ["redis", "redis: small", "local: small"] {
        let answer = send(Host::Hyper, &small, "192.0.2.3").await;
        match answer.is_success() {
            true => assert_eq!(detail(&answer), expected),
            // A refusal is no echo; the observer of the next test sees it.
            false => assert_eq!(answer.code().as_deref(), Some("ratelimit.exceeded")),
        }
    }
}

#[tokio::test]
async fn a_policy_that_needs_its_store_refuses_without_it() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    server.kill();
    for host in Host::WITHOUT_SOCKETS {
        let closed = Policy::new("closed", Rate::per_hour(9)).with_fallback(Fallback::Closed);
        let open = Policy::new("open", Rate::per_hour(9)).with_fallback(Fallback::Open);
        let refused = send(
            host,
            &layer(config(&server, &[open.clone(), closed])),
            "::1",
        )
        .await;
        let expected = if host.is_grpc() { 200 } else { 503 };
        assert_eq!(refused.http_status, expected, "{host:?}");
        assert_eq!(
            refused.code().as_deref(),
            Some("ratelimit.store_unavailable")
        );
        // What only watches refuses nobody, with or without a store.
        let shadow = Policy::new("closed", Rate::per_hour(9)).with_fallback(Fallback::Closed);
        let passed = send(
            host,
            &layer(config(&server, &[open, shadow.in_shadow()])),
            "::1",
        )
        .await;
        assert!(passed.is_success(), "{host:?}");
        assert_eq!(detail(&passed), "fallback");
    }
}

#[tokio::test]
async fn policies_in_shadow_are_counted_and_refuse_nobody() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policies = [
        Policy::new("trial", Rate::per_hour(1)).in_shadow(),
        Policy::new("limit", Rate::per_hour(3)),
    ];
    let layer = layer(config(&server, &policies));
    let first = send(Host::Hyper, &layer, "192.0.2.1").await;
    assert_eq!(
        first.json()["context"]["decisions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for _ in 0..2 {
        let passed = send(Host::Hyper, &layer, "192.0.2.1").await;
        let decisions = &passed.json()["context"]["decisions"];
        assert_eq!(decisions[0]["outcome"], "would_have_denied");
        assert_eq!(decisions[1]["outcome"], "allowed");
    }
    let refused = send(Host::Hyper, &layer, "192.0.2.1").await;
    assert_eq!(refused.code().as_deref(), Some("ratelimit.exceeded"));
}

#[tokio::test]
async fn keys_of_different_kinds_are_counted_apart() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = || Policy::new("once", Rate::per_hour(1));
    let by = |key: Key| {
        let config = RateLimitConfig::builder(key).with_store(store(&server), among(1));
        layer(config.add_policy(policy()))
    };
    for key in [Key::address, Key::everybody, || Key::network(24, 48)] {
        assert!(
            send(Host::Hyper, &by(key()), "192.0.2.1")
                .await
                .is_success()
        );
        assert!(
            !send(Host::Hyper, &by(key()), "192.0.2.1")
                .await
                .is_success()
        );
    }
    let asked = || Key::custom_async(|_| async { Some("tenant") });
    assert!(
        send(Host::Hyper, &by(asked()), "192.0.2.1")
            .await
            .is_success()
    );
    assert!(
        !send(Host::Hyper, &by(asked()), "192.0.2.2")
            .await
            .is_success()
    );
}
