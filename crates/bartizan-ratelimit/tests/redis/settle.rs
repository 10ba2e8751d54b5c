//! What becomes of charges once the response is known.

use std::net::SocketAddr;

use bartizan_core::Connection;
use bartizan_ratelimit::{Key, Policy, Rate, RateLimitConfig, RateLimitLayer, Settlement};
use bartizan_testkit::{Call, Host};

use crate::server::Server;
use crate::support::{among, store, until};

fn call(path: &str) -> Call {
    let remote = SocketAddr::from(([192, 0, 2, 1], 4_000));
    Call::echo("hello")
        .with_connection(Connection::from_remote(remote))
        .with_http_path(path)
}

fn layer(server: &Server, rate: Rate, settlement: Settlement) -> RateLimitLayer {
    let config = RateLimitConfig::builder(Key::address())
        .add_policy(Policy::new("limit", rate))
        .with_settlement(move |response| match response.status.as_u16() {
            404 => settlement,
            _ => Settlement::Keep,
        })
        .with_store(store(server), among(1));
    RateLimitLayer::new(config.build().unwrap())
}

/// For how much longer the server remembers its one value, in milliseconds.
async fn debt(server: &Server) -> i64 {
    let keys: Vec<String> = server.run(&["KEYS", "*"]).await;
    match keys.first() {
        Some(key) => server.run(&["PTTL", key]).await,
        None => 0,
    }
}

#[tokio::test]
async fn what_was_for_nothing_is_given_back() {
    let Some(server) = Server::start().await else {
        return;
    };
    // A cell takes six minutes.
    let layer = layer(&server, Rate::per_hour(10), Settlement::Refund);
    for _ in 0..20 {
        let answer = Host::AxumLayer
            .send(&layer, &call("/nowhere"))
            .await
            .unwrap();
        assert_eq!(answer.http_status, 404);
        until(async || debt(&server).await < 100_000).await;
    }
}

#[tokio::test]
async fn what_a_request_turned_out_to_cost_is_charged() {
    let Some(server) = Server::start().await else {
        return;
    };
    let layer = layer(&server, Rate::per_hour(10), Settlement::Charge(11));
    let answer = Host::AxumLayer
        .send(&layer, &call("/nowhere"))
        .await
        .unwrap();
    assert_eq!(answer.http_status, 404);
    // Twelve cells, of which a burst has ten.
    until(async || debt(&server).await > 4_300_000).await;
    let answer = Host::AxumLayer
        .send(&layer, &call("/nowhere"))
        .await
        .unwrap();
    assert_eq!(answer.http_status, 429);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1_070..=1_080).contains(&wait), "{wait}");
}

#[tokio::test]
async fn refunds_of_leased_cells_neither_make_nor_lose_any() {
    let Some(server) = Server::start().await else {
        return;
    };
    // 3.6 s a cell; leases are in use.
    let layer = layer(&server, Rate::per_hour(1_000), Settlement::Refund);
    for _ in 0..300 {
        let answer = Host::AxumLayer
            .send(&layer, &call("/nowhere"))
            .await
            .unwrap();
        assert_eq!(answer.http_status, 404);
    }
    let shared = layer.shared().unwrap();
    assert!(shared.status().round_trips < 300);
    until(async || {
        shared.release().await;
        debt(&server).await < 3_600 * 5
    })
    .await;
}
