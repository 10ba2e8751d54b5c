//! TLS with a private authority, and users.

use bartizan_ratelimit::{ConfigError, Fallback, Policy, Rate, RedisStore, Source};
use bartizan_testkit::DevelopmentCa;

use crate::server::Server;
use crate::support::{among, limiter, secret, timely, until};

fn policy() -> Policy {
    Policy::new("exact", Rate::per_hour(3)).with_fallback(Fallback::Closed)
}

#[tokio::test]
async fn tls_believes_its_own_authority_and_no_other() {
    let folder = std::env::temp_dir().join(format!("bartizan-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let ca = DevelopmentCa::new("example.org").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    let certificate = ca.loopback_server().unwrap();
    certificate.write_pem(&folder, "server").unwrap();
    let Some(server) = Server::with_tls(&folder, "server").await else {
        return;
    };
    let at = |ca: &DevelopmentCa| {
        RedisStore::at(server.address(), secret()).with_tls_roots(ca.certificate_pem())
    };
    let mine = limiter(at(&ca).build().unwrap(), among(1), &[policy()]);
    until(async || timely(&mine, "alice").await.source() == Source::Redis).await;
    assert!(timely(&mine, "alice").await.is_allowed());

    let stranger = DevelopmentCa::new("example.org").unwrap();
    let refused = limiter(at(&stranger).build().unwrap(), among(1), &[policy()]);
    // And without TLS at all.
    let plain = RedisStore::at(server.address(), secret()).build().unwrap();
    let plain = limiter(plain, among(1), &[policy()]);
    for limiter in [refused, plain] {
        for _ in 0..8 {
            assert_eq!(timely(&limiter, "alice").await.source(), Source::Fallback);
        }
    }
    drop(server);
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn users_need_no_more_than_is_said() {
    let Some(server) = Server::start().await else {
        return;
    };
    let allowed = "+evalsha +eval +mget +get +set +del +time +ping +select";
    let mut words = vec![
        "ACL",
        "SETUSER",
        "limiter",
        "on",
        ">pa:ss word",
        "~bartizan:*",
    ];
    words.extend(allowed.split(' '));
    let _: String = server.run(&words).await;
    let _: String = server.run(&["ACL", "SETUSER", "default", "off"]).await;
    let with = |password: &str| {
        let store = RedisStore::at(server.address(), secret());
        let store = store.with_credentials("limiter", password);
        limiter(store.build().unwrap(), among(1), &[policy()])
    };
    let mine = with("pa:ss word");
    for expected in [true, true, true, false] {
        let verdict = timely(&mine, "alice").await;
        assert_eq!(
            (verdict.is_allowed(), verdict.source()),
            (expected, Source::Redis)
        );
    }
    let wrong = with("another");
    assert_eq!(timely(&wrong, "alice").await.source(), Source::Fallback);
    assert!(!format!("{wrong:?}").contains("another"));
}

#[tokio::test]
async fn one_password_serves_where_the_server_has_no_users() {
    let Some(server) = Server::start().await else {
        return;
    };
    let set = ["CONFIG", "SET", "requirepass", "pa:ss word"];
    let _: String = server.run(&set).await;
    let store = || RedisStore::at(server.address(), secret());
    let source = async |store: bartizan_ratelimit::RedisStoreBuilder| {
        let limiter = limiter(store.build().unwrap(), among(1), &[policy()]);
        timely(&limiter, "alice").await.source()
    };
    assert_eq!(
        source(store().with_password("pa:ss word")).await,
        Source::Redis
    );
    for locked_out in [store(), store().with_password("another")] {
        assert_eq!(source(locked_out).await, Source::Fallback);
    }
}

#[test]
fn a_store_that_cannot_be_reached_is_named() {
    let at = |address: &str| RedisStore::at(address, secret());
    let check = |store: bartizan_ratelimit::RedisStoreBuilder, expected: &str| {
        let error = store.build().unwrap_err();
        assert!(matches!(error, ConfigError::Store(_)));
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(at("redis://localhost:6379"), "redis://localhost:6379");
    check(at("localhost"), "localhost");
    check(at("a:1").with_namespace("with {braces}"), "braces");
    check(at("a:1").with_namespace(""), "namespace");
    check(at("a:1").with_tls_roots("nothing"), "no certificate");
    check(
        at("a:1").with_connect_deadline(std::time::Duration::ZERO),
        "connect deadline",
    );
    check(
        RedisStore::cluster(Vec::<String>::new(), secret()),
        "no address",
    );
    check(
        RedisStore::cluster(["a:1"], secret()).with_database(1),
        "databases",
    );
}
