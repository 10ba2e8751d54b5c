//! What nobody may read in metrics.

use bartizan_core::{Connection, Enforcement};

use crate::decisions::{get, send};
use crate::scrape::recorded;

#[tokio::test]
async fn nothing_that_a_client_sends_is_in_a_scrape() {
    let (builder, scrape) = recorded();
    let observer = builder.build();
    let canary = "canary-1f0c";
    let mut request = get(&format!("/a/{canary}?token={canary}"));
    for header in [
        "authorization",
        "cookie",
        "user-agent",
        "x-api-key",
        "host",
        "traceparent",
    ] {
        request
            .headers_mut()
            .insert(header, canary.parse().unwrap());
    }
    let address = Connection::from_remote(([203, 0, 113, 77], 4711).into());
    request.extensions_mut().insert(address);
    send(&observer, Enforcement::Enforce, [request]).await;
    let text = scrape.text();
    assert!(text.contains("bartizan_decisions_total"), "{text}");
    assert!(!text.contains(canary), "{text}");
    assert!(!text.contains("203.0.113.77"), "{text}");
}
