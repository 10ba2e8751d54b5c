//! The whole stack, attacked with all that there is.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use bartizan_attack::{Class, Report, Verdict, run, run_at};
use bartizan_core::Connection;
use serde_json::json;

use crate::support::{LIMIT, Town};

/// None got in, and of all classes this many attacks were held at least.
fn holds(report: &Report, least: [(Class, usize); 6]) {
    report.assert_none_got_in();
    for (class, least) in least {
        let held = report.counts(Some(class)).held;
        assert!(held >= least, "{class}: {held}\n{report}");
    }
}

#[tokio::test]
async fn no_attack_gets_into_a_service_in_this_process() {
    let town = Town::new();
    let clients = AtomicU32::new(0);
    let target = town.target().prepare(move |extensions| {
        let client = clients.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::from_bits(0x0a00_0001 + client);
        extensions.insert(Connection::from_remote((address, 1).into()));
    });
    let report = run(town.app(false)).with_target(target).await;
    let least = [
        (Class::Tokens, 200),
        (Class::Certificates, 16),
        (Class::Headers, 70),
        (Class::Bodies, 10),
        (Class::Protocol, 45),
        (Class::Order, 40),
    ];
    holds(&report, least);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_gets_in_over_a_socket() {
    let town = Town::new();
    let remote = Town::plain(town.app(false)).await;
    let target = town.target().with_limit(LIMIT);
    let report = run_at(remote).with_target(target).await;
    let least = [
        (Class::Tokens, 200),
        (Class::Certificates, 20),
        (Class::Headers, 100),
        (Class::Bodies, 25),
        (Class::Protocol, 120),
        (Class::Order, 50),
    ];
    holds(&report, least);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_gets_in_over_mutual_tls() {
    let town = Town::new();
    let remote = town.tls("strong", town.app(true)).await;
    let target = town
        .target()
        .with_json(&json!({ "article": "lamp", "count": 1 }));
    let report = run_at(remote).with_target(target).await;
    let least = [
        (Class::Tokens, 200),
        (Class::Certificates, 70),
        (Class::Headers, 100),
        (Class::Bodies, 50),
        (Class::Protocol, 120),
        (Class::Order, 40),
    ];
    holds(&report, least);
    // Of services of gRPC alone, and of those that take proofs, nothing is known.
    let verdict = report.verdict("body.grpc-length-too-long");
    assert!(matches!(verdict, Some(Verdict::NotRun(_))), "{verdict:?}");
}
