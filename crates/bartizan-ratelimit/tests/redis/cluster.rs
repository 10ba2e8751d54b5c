//! A cluster of three primaries.

use bartizan_ratelimit::{Fallback, Policy, Rate, RedisStore, Source};

use crate::server::Server;
use crate::support::{among, limiter, secret, timely, until};

/// Three primaries that have all slots between them.
async fn three() -> Option<[Server; 3]> {
    let nodes = [
        Server::node().await?,
        Server::node().await?,
        Server::node().await?,
    ];
    let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (node, (first, last)) in nodes.iter().zip(slots) {
        let _: String = node.run(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
        let port = nodes[0].port.to_string();
        let _: String = node.run(&["CLUSTER", "MEET", "127.0.0.1", &port]).await;
    }
    for node in &nodes {
        until(async || {
            let info: String = node.run(&["CLUSTER", "INFO"]).await;
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    Some(nodes)
}

#[tokio::test]
async fn all_policies_of_a_subject_are_in_one_slot_wherever_that_is() {
    let Some(nodes) = three().await else {
        return;
    };
    // One node is enough to find the others.
    let store = || {
        RedisStore::cluster([nodes[1].address()], secret())
            .build()
            .unwrap()
    };
    let policies = [
        Policy::new("first", Rate::per_hour(3)).with_fallback(Fallback::Closed),
        Policy::new("second", Rate::per_day(5)).with_fallback(Fallback::Closed),
    ];
    let (mine, other) = (
        limiter(store(), among(2), &policies),
        limiter(store(), among(2), &policies),
    );
    until(async || timely(&mine, "first of all").await.source() == Source::Redis).await;
    for caller in 0..30 {
        let key = format!("caller {caller}");
        let mut admitted = 0;
        for turn in 0..6 {
            let limiter = if turn % 2 == 0 { &mine } else { &other };
            let verdict = timely(limiter, &key).await;
            assert_ne!(verdict.source(), Source::Fallback, "{verdict:?}");
            admitted += usize::from(verdict.is_allowed());
        }
        assert_eq!(admitted, 3);
    }
    for node in &nodes {
        let keys: u64 = node.run(&["DBSIZE"]).await;
        assert!(keys >= 4, "callers are spread over the nodes");
    }
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let Some(nodes) = three().await else {
        return;
    };
    let store = RedisStore::cluster([nodes[0].address()], secret())
        .build()
        .unwrap();
    let policy = Policy::new("limit", Rate::per_hour(40)).with_fallback(Fallback::Closed);
    let mine = limiter(store, among(8), std::slice::from_ref(&policy));
    until(async || timely(&mine, "alice").await.source() == Source::Redis).await;
    // Where she is, and where she goes.
    let mut found = None;
    for (index, node) in nodes.iter().enumerate() {
        let keys: Vec<String> = node.run(&["KEYS", "*"]).await;
        if let Some(key) = keys.first() {
            found = Some((index, key.clone()));
        }
    }
    let (from, key) = found.unwrap();
    let (old, new) = (&nodes[from], &nodes[(from + 1) % 3]);
    let slot: u64 = old.run(&["CLUSTER", "KEYSLOT", &key]).await;
    let slot = slot.to_string();
    let old_id: String = old.run(&["CLUSTER", "MYID"]).await;
    let new_id: String = new.run(&["CLUSTER", "MYID"]).await;
    let _: String = new
        .run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old_id])
        .await;
    let _: String = old
        .run(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new_id])
        .await;
    // Her value has moved, and the slot has not: the old node says ASK.
    let port = new.port.to_string();
    let _: String = old
        .run(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"])
        .await;
    let verdict = timely(&mine, "alice").await;
    assert_eq!(
        (verdict.is_allowed(), verdict.source()),
        (true, Source::Redis)
    );
    // Now the slot has moved: the old node says MOVED.
    for node in [new, old] {
        let _: String = node
            .run(&["CLUSTER", "SETSLOT", &slot, "NODE", &new_id])
            .await;
    }
    let mut admitted = 0;
    for _ in 0..45 {
        let verdict = timely(&mine, "alice").await;
        assert_ne!(verdict.source(), Source::Fallback);
        admitted += usize::from(verdict.is_allowed());
    }
    // One was charged in either place before, at least; nothing was forgotten on the way.
    assert!(admitted <= 38, "{admitted}");
}

#[tokio::test]
async fn a_lost_node_is_fallen_back_from_and_returned_to() {
    let Some(mut nodes) = three().await else {
        return;
    };
    let store = RedisStore::cluster(nodes.iter().map(Server::address), secret());
    let policy = Policy::new("limit", Rate::per_hour(8)).with_fallback(Fallback::Open);
    let mine = limiter(
        store.build().unwrap(),
        among(8),
        std::slice::from_ref(&policy),
    );
    until(async || timely(&mine, "alice").await.source() == Source::Redis).await;
    nodes[2].kill();
    let mut fallen = 0;
    for caller in 0..60 {
        let verdict = timely(&mine, &format!("caller {caller}")).await;
        fallen += usize::from(verdict.source() == Source::Fallback);
    }
    assert!(fallen > 5, "{fallen}");
    nodes[2].restart().await;
    until(async || {
        let mut fallen = 0;
        for caller in 0..20 {
            let verdict = timely(&mine, &format!("after {caller}")).await;
            fallen += usize::from(verdict.source() == Source::Fallback);
        }
        fallen == 0
    })
    .await;
}
