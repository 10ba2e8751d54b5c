//! A primary that Sentinel watches.

use bartizan_ratelimit::{Fallback, Policy, Rate, RedisStore, Source};

use crate::server::Server;
use crate::support::{among, limiter, secret, timely, until};

#[tokio::test]
async fn a_failover_is_followed_without_a_restart() {
    let Some(mut primary) = Server::start().await else {
        return;
    };
    let port = primary.port.to_string();
    let Some(replica) = Server::with(&["--replicaof", "127.0.0.1", &port]).await else {
        return;
    };
    until(async || {
        let info: String = replica.run(&["INFO", "replication"]).await;
        info.contains("master_link_status:up")
    })
    .await;
    let Some(sentinel) = Server::sentinel(primary.port).await else {
        return;
    };
    until(async || {
        let info: String = sentinel.run(&["INFO", "sentinel"]).await;
        info.contains("slaves=1")
    })
    .await;

    let store = RedisStore::sentinel("main", [sentinel.address()], secret());
    let policy = Policy::new("limit", Rate::per_day(8)).with_fallback(Fallback::Open);
    let mine = limiter(
        store.build().unwrap(),
        among(8),
        std::slice::from_ref(&policy),
    );
    until(async || timely(&mine, "alice").await.source() == Source::Redis).await;
    let spent = async || {
        let keys: Vec<String> = replica.run(&["KEYS", "*"]).await;
        !keys.is_empty()
    };
    until(spent).await;

    primary.kill();
    until(async || timely(&mine, "alice").await.source() == Source::Fallback).await;
    // What the replica had heard of is still charged.
    until(async || timely(&mine, "alice").await.source() == Source::Redis).await;
    let role: Vec<redis::Value> = replica.run(&["ROLE"]).await;
    assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
    let mut admitted = 0;
    for _ in 0..20 {
        admitted += usize::from(timely(&mine, "alice").await.is_allowed());
    }
    assert!(admitted <= 6, "{admitted}");
}

#[tokio::test]
async fn an_unknown_primary_is_none() {
    let Some(primary) = Server::start().await else {
        return;
    };
    let Some(sentinel) = Server::sentinel(primary.port).await else {
        return;
    };
    let store = RedisStore::sentinel("another", [sentinel.address()], secret());
    let policy = Policy::new("limit", Rate::per_day(8)).with_fallback(Fallback::Closed);
    let mine = limiter(
        store.build().unwrap(),
        among(1),
        std::slice::from_ref(&policy),
    );
    assert_eq!(timely(&mine, "alice").await.source(), Source::Fallback);
}
