//! Servers that go, hang, forget and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_ratelimit::{Fallback, Policy, Rate, SharedLimiter, Source};

use crate::proxy::Line;
use crate::server::Server;
use crate::support::{among, limiter, secret, store, timely, until, until_from};
use bartizan_ratelimit::RedisStore;

/// A policy that needs the store for each request, with what holds without it.
fn exact(fallback: Fallback) -> Policy {
    Policy::new("exact", Rate::per_day(8)).with_fallback(fallback)
}

/// What is declared holds, no request takes longer than it may, and after a few of them nobody
/// waits any more.
async fn falls_back(limiter: &SharedLimiter, key: &str) {
    until_from(limiter, key, Source::Fallback).await;
    until(async || {
        let _ = timely(limiter, key).await;
        limiter.status().is_lost
    })
    .await;
    let trips = limiter.status().round_trips;
    for _ in 0..100 {
        assert_eq!(timely(limiter, key).await.source(), Source::Fallback);
    }
    assert_eq!(
        limiter.status().round_trips,
        trips,
        "nobody asks a lost store"
    );
}

#[tokio::test]
async fn a_killed_server_is_fallen_back_from_and_returned_to() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let mine = limiter(store(&server), among(4), &[exact(Fallback::Local)]);
    assert_eq!(timely(&mine, "alice").await.source(), Source::Redis);
    server.kill();
    falls_back(&mine, "alice").await;
    // The share of one instance of four is two a day, at most.
    assert!(!timely(&mine, "alice").await.is_allowed());
    assert!(timely(&mine, "bob").await.is_allowed());
    assert!(timely(&mine, "bob").await.is_allowed());
    assert!(!timely(&mine, "bob").await.is_allowed());
    server.restart().await;
    until_from(&mine, "carol", Source::Redis).await;
    assert!(!mine.status().is_lost);
}

#[tokio::test]
async fn a_server_that_was_never_there_is_fallen_back_from() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let mine = limiter(store(&server), among(1), &[exact(Fallback::Local)]);
    server.kill();
    falls_back(&mine, "alice").await;
    server.restart().await;
    until_from(&mine, "alice", Source::Redis).await;
}

#[tokio::test]
async fn a_frozen_server_is_fallen_back_from_and_returned_to() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mine = limiter(store(&server), among(4), &[exact(Fallback::Open)]);
    assert_eq!(timely(&mine, "alice").await.source(), Source::Redis);
    server.freeze();
    falls_back(&mine, "alice").await;
    for _ in 0..20 {
        assert!(timely(&mine, "alice").await.is_allowed(), "open");
    }
    server.thaw();
    until_from(&mine, "alice", Source::Redis).await;
}

#[tokio::test]
async fn a_slow_server_is_fallen_back_from_and_returned_to() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (line, address) = Line::to(server.port).await;
    let through = RedisStore::at(address, secret()).build().unwrap();
    let mine = limiter(through, among(1), &[exact(Fallback::Closed)]);
    assert_eq!(timely(&mine, "alice").await.source(), Source::Redis);
    // Beyond the deadline of 500 ms; two ways make twice that.
    line.delay(600);
    falls_back(&mine, "alice").await;
    let verdict = timely(&mine, "bob").await;
    assert_eq!(
        (verdict.is_allowed(), verdict.verdict()),
        (false, None),
        "closed"
    );
    line.delay(0);
    until_from(&mine, "bob", Source::Redis).await;
    assert!(timely(&mine, "carol").await.is_allowed());
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_left() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (line, address) = Line::to(server.port).await;
    let through = RedisStore::at(address, secret()).build().unwrap();
    let mine = limiter(through, among(1), &[exact(Fallback::Local)]);
    assert_eq!(timely(&mine, "alice").await.source(), Source::Redis);
    line.swallow(true);
    falls_back(&mine, "alice").await;
    // The old connection stays as dead as it is; a new one is good.
    line.swallow(false);
    until_from(&mine, "alice", Source::Redis).await;
}

#[tokio::test]
async fn a_command_is_not_sent_again_after_its_deadline() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (line, address) = Line::to(server.port).await;
    let through = RedisStore::at(address, secret()).build().unwrap();
    let mine = limiter(through, among(1), &[exact(Fallback::Open)]);
    assert_eq!(timely(&mine, "alice").await.source(), Source::Redis);
    line.delay(700);
    assert_eq!(timely(&mine, "alice").await.source(), Source::Fallback);
    line.delay(0);
    // It is charged once, late: the two that were sent, and nothing more.
    let calls = async || {
        let stats: String = server.run(&["INFO", "commandstats"]).await;
        let of = |name: &str| {
            let line = stats.lines().find(|line| line.starts_with(name));
            let calls = line.and_then(|line| line.split("calls=").nth(1));
            calls
                .and_then(|calls| calls.split(',').next()?.parse::<u64>().ok())
                .unwrap_or(0)
        };
        // The first EVALSHA is not known, and EVAL brings the script.
        (of("cmdstat_evalsha:"), of("cmdstat_eval:"))
    };
    until(async || calls().await == (2, 1)).await;
    let spent = limiter(store(&server), among(1), &[exact(Fallback::Open)]);
    let verdict = spent.check_cost("alice", 6).await;
    assert!(
        verdict.is_allowed() && verdict.source() == Source::Redis,
        "{verdict:?}"
    );
    assert!(!timely(&spent, "alice").await.is_allowed());
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mine = limiter(store(&server), among(1), &[exact(Fallback::Closed)]);
    for turn in 0..8 {
        let verdict = timely(&mine, "alice").await;
        assert_eq!(
            (verdict.is_allowed(), verdict.source()),
            (true, Source::Redis),
            "{turn}"
        );
        let _: String = server.run(&["SCRIPT", "FLUSH"]).await;
    }
    assert!(!timely(&mine, "alice").await.is_allowed());
}

#[tokio::test]
async fn a_flushed_server_begins_anew() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mine = limiter(store(&server), among(1), &[exact(Fallback::Closed)]);
    for _ in 0..8 {
        assert!(timely(&mine, "alice").await.is_allowed());
    }
    assert!(!timely(&mine, "alice").await.is_allowed());
    let _: String = server.run(&["FLUSHALL"]).await;
    // What was refused here stays refused here for as long as it was told; others begin anew.
    assert_eq!(timely(&mine, "alice").await.source(), Source::Local);
    let other = limiter(store(&server), among(1), &[exact(Fallback::Closed)]);
    let verdict = timely(&other, "alice").await;
    assert_eq!(
        (verdict.is_allowed(), verdict.source()),
        (true, Source::Redis)
    );
}

#[tokio::test]
async fn values_of_another_form_are_no_verdict() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mine = limiter(store(&server), among(1), &[exact(Fallback::Closed)]);
    assert!(timely(&mine, "alice").await.is_allowed());
    let keys: Vec<String> = server.run(&["KEYS", "*"]).await;
    let _: String = server.run(&["SET", &keys[0], "something else"]).await;
    let verdict = timely(&mine, "alice").await;
    assert_eq!(
        (verdict.verdict(), verdict.source()),
        (None, Source::Fallback)
    );
}

#[tokio::test]
async fn leases_survive_a_lost_server_until_they_are_over() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("limit", Rate::per_hour(1_000_000)).with_fallback(Fallback::Closed);
    let mine = limiter(store(&server), among(1), std::slice::from_ref(&policy));
    until_from(&mine, "alice", Source::Lease).await;
    server.kill();
    let verdict = timely(&mine, "alice").await;
    assert_eq!(
        (verdict.is_allowed(), verdict.source()),
        (true, Source::Lease)
    );
    until(async || timely(&mine, "alice").await.verdict().is_none()).await;
    server.restart().await;
    until_from(&mine, "alice", Source::Lease).await;
}

#[tokio::test]
async fn many_who_wait_at_once_all_get_their_answer_in_time() {
    let Some(server) = Server::start().await else {
        return;
    };
    let policy = Policy::new("limit", Rate::per_second(100_000)).with_fallback(Fallback::Closed);
    let mine = limiter(store(&server), among(1), std::slice::from_ref(&policy));
    let answered = Arc::new(AtomicU64::new(0));
    for is_frozen in [false, true] {
        if is_frozen {
            server.freeze();
        }
        let mut tasks = tokio::task::JoinSet::new();
        for caller in 0..500 {
            let (mine, answered) = (mine.clone(), Arc::clone(&answered));
            tasks.spawn(async move {
                let verdict = timely(&mine, &format!("caller {}", caller % 5)).await;
                answered.fetch_add(verdict.is_allowed().into(), Ordering::Relaxed);
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        if !is_frozen {
            assert_eq!(answered.load(Ordering::Relaxed), 500);
        }
    }
    server.thaw();
    until(async || timely(&mine, "caller 0").await.is_allowed()).await;
}
