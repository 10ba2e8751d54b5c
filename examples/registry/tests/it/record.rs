//! Each change stands in a log that nobody can quietly change.

use bartizan::audit::{Format, LedgerReader, Renderer, Verdict, Verifier};

use crate::support::{Town, told};

#[tokio::test]
async fn the_log_says_who_came_and_went_and_who_was_refused() {
    let mut town = Town::with(|text| text.replace("lease_seconds = 30", "lease_seconds = 1")).await;
    let (payments, orders) = (town.workload("/payments"), town.workload("/orders"));
    payments.register("payments", 8444).await;
    payments.withdraw("payments", 8444).await;
    assert_eq!(orders.register("payments", 6666).await.0, 403);
    payments.register("payments", 8445).await;
    let (_, version) = told(&orders.look_up("payments").await.1);
    orders
        .ask(
            "GET",
            &format!("/services/payments?after={version}&wait=20"),
        )
        .await;
    town.end().await;

    let folder = town.folder.join("audit");
    assert_eq!(
        Verifier::new().run(&folder).unwrap().verdict(),
        Verdict::Intact
    );
    let mut reader = LedgerReader::open(&folder).unwrap();
    let renderer = Renderer::new(Format::Json, reader.origin());
    let mut lines = Vec::new();
    loop {
        let batch = reader.next_batch().unwrap();
        if batch.is_empty() {
            break;
        }
        lines.extend(batch.iter().map(|entry| renderer.render(entry).unwrap()));
    }
    for parts in [
        [
            "registry.registered",
            "127.0.0.1:8444 as spiffe://example.org/payments",
        ],
        [
            "registry.withdrawn",
            "127.0.0.1:8444 as spiffe://example.org/payments",
        ],
        [
            "registry.expired",
            "127.0.0.1:8445 as spiffe://example.org/payments",
        ],
        [
            "/services/payments/instances/6666",
            "spiffe://example.org/orders",
        ],
    ] {
        let told = lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(told, "{parts:?} in {lines:#?}");
    }
    let refused = |line: &&String| line.contains("/instances/6666");
    let line = lines.iter().find(refused).unwrap();
    assert!(line.contains("403"), "{line}");
}
