//! Leases that end, and those who wait to be told.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::{PATIENCE, Town, Workload, told};

async fn newer_than(workload: Workload, version: u64, wait: u64) -> (Vec<String>, u64) {
    let path = format!("/services/payments?after={version}&wait={wait}");
    let (status, found) = workload.ask("GET", &path).await;
    assert_eq!(status, 200, "{found}");
    told(&found)
}

#[tokio::test]
async fn whoever_waits_is_told_of_a_change() {
    let town = Town::new().await;
    let (payments, orders) = (town.workload("/payments"), town.workload("/orders"));
    let (_, version) = told(&orders.look_up("payments").await.1);
    let waiting = tokio::spawn(newer_than(orders.clone(), version, 50));
    assert_eq!(payments.register("payments", 8444).await.0, 200);
    let (addresses, newer) = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(addresses, ["127.0.0.1:8444"]);
    assert!(newer > version);
    // Whoever knows an older state is told at once, and nothing new is an answer as well.
    assert_eq!(
        newer_than(orders.clone(), version, 50).await,
        (addresses.clone(), newer)
    );
    assert_eq!(newer_than(orders, newer, 1).await, (addresses, newer));
}

#[tokio::test]
async fn whoever_says_nothing_any_more_is_listed_no_longer() {
    let town = Town::with(|text| text.replace("lease_seconds = 30", "lease_seconds = 2")).await;
    let (payments, orders) = (town.workload("/payments"), town.workload("/orders"));
    payments.register("payments", 8444).await;
    payments.register("payments", 8445).await;
    let (both, version) = told(&orders.look_up("payments").await.1);
    assert_eq!(both.len(), 2);
    // One of them goes on.
    let beating = payments.clone();
    let heart = tokio::spawn(async move {
        loop {
            beating.register("payments", 8445).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let (left, _) = newer_than(orders, version, 20).await;
    heart.abort();
    assert_eq!(left, ["127.0.0.1:8445"]);
}

#[tokio::test]
async fn so_many_wait_for_one_identity() {
    let town = Town::new().await;
    let (payments, orders) = (town.workload("/payments"), town.workload("/orders"));
    let (_, version) = told(&orders.look_up("payments").await.1);
    let path = format!("/services/payments?after={version}&wait=50");
    // Each asks until it waits or is refused: two may wait, so that of three one is refused.
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (orders, path) = (orders.clone(), path.clone());
        waiting.spawn(async move { orders.ask("GET", &path).await });
    }
    let (status, document) = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(status, 429, "{document}");
    assert_eq!(document["code"], "registry.too_many");
    // Others are not concerned, and those who wait are told.
    let own = tokio::spawn(newer_than(payments.clone(), version, 50));
    payments.register("payments", 8444).await;
    own.await.unwrap();
    while let Some(answer) = waiting.join_next().await {
        assert_eq!(answer.unwrap().0, 200);
    }
}

#[tokio::test]
async fn a_restart_forgets_and_is_noticed_by_those_who_wait() {
    let town = Town::new().await;
    town.workload("/payments").register("payments", 8444).await;
    let (_, version) = told(&town.workload("/orders").look_up("payments").await.1);
    let town = town.again().await;
    // It comes back at once, with a version that is newer.
    let (addresses, newer) = newer_than(town.workload("/orders"), version, 50).await;
    assert!(addresses.is_empty() && newer > version);
}
