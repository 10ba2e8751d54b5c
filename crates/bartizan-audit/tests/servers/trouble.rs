//! What happens to servers, and what every sink makes of it: everything arrives.

use std::collections::BTreeSet;
use std::time::Duration;

use bartizan_audit::{Batch, Delivery, DeliveryBuilder, DeliveryState, Sink, SinkErrorKind};

use crate::line::Line;
use crate::log::{all, fill, ledger_of, tail};
use crate::support::{Folder, end};

/// A server that can be killed, and a sink that goes there.
pub(crate) trait Server {
    type Sink: Sink;

    /// Whether an entry that is sent twice is there once.
    const IS_EXACT: bool;

    fn port(&self) -> u16;

    /// Starts it, after a crash as well, with what it kept.
    async fn run(&mut self);

    /// Kills it, with nothing written that was not yet.
    fn crash(&mut self);

    /// A sink that goes to this port of loopback.
    fn sink(&self, port: u16) -> Self::Sink;

    /// The indexes of the entries that it has.
    async fn indexes(&mut self) -> Vec<u64>;

    /// Forgets everything.
    async fn clear(&mut self);
}

const PATIENCE: Duration = Duration::from_secs(120);

fn hasty(folder: &Folder, sink: impl Sink) -> DeliveryBuilder {
    Delivery::builder(folder.path(), "sink", sink)
        .with_poll_interval(Duration::from_millis(20))
        .with_backoff(Duration::from_millis(50), Duration::from_millis(500))
        .with_deadline(Duration::from_secs(5))
        .with_batch(100, 1 << 20)
}

/// All of the trouble there is, one after the other: a server takes a while to start.
pub(crate) async fn everything_arrives_whatever_happens<S: Server>(server: &mut S) {
    server_is_down_at_first(server).await;
    server.clear().await;
    server_is_killed_in_the_middle(server).await;
    server.clear().await;
    connection_hangs(server).await;
    server.clear().await;
    sink_crashes_before_it_keeps_its_place(server).await;
    server.clear().await;
    sink_is_far_behind_while_the_log_rotates(server).await;
}

async fn check<S: Server>(server: &mut S, size: u64, what: &str) {
    let got = server.indexes().await;
    let distinct: BTreeSet<u64> = got.iter().copied().collect();
    let expected = all(size);
    assert_eq!(distinct.into_iter().collect::<Vec<_>>(), expected, "{what}");
    if S::IS_EXACT {
        assert_eq!(got.len(), expected.len(), "{what}: each of them once");
    }
}

async fn server_is_down_at_first<S: Server>(server: &mut S) {
    server.crash();
    let (folder, size) = ledger_of(250).await;
    let delivery = hasty(&folder, server.sink(server.port())).start().unwrap();
    let failed = delivery.wait_for(|status| status.failures >= 2).await;
    assert_eq!(failed.position, 0);
    let failure = failed.last_failure.unwrap();
    assert_eq!(failure.kind, SinkErrorKind::Unavailable, "{failure:?}");
    server.run().await;
    let status = delivery.shutdown(PATIENCE).await;
    assert_eq!(
        status.state,
        DeliveryState::Ended { complete: true },
        "{status:?}"
    );
    check(server, size, "it was down at first").await;
}

async fn server_is_killed_in_the_middle<S: Server>(server: &mut S) {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let sink = server.sink(server.port());
    let delivery = hasty(&folder, sink).with_batch(7, 1 << 20).start().unwrap();
    fill(&ledger, 500);
    delivery.wait_for(|status| status.position >= 50).await;
    server.crash();
    // What comes now finds nobody.
    fill(&ledger, 500);
    delivery.wait_for(|status| status.failures >= 1).await;
    server.run().await;
    fill(&ledger, 500);
    let report = end(&ledger, &folder).await;
    let status = delivery.shutdown(PATIENCE).await;
    assert_eq!(status.position, report.entries, "{status:?}");
    check(server, report.entries, "it was killed in the middle").await;
}

async fn connection_hangs<S: Server>(server: &mut S) {
    let (line, port) = Line::to(server.port()).await;
    let folder = Folder::new();
    let ledger = folder.ledger();
    fill(&ledger, 100);
    line.swallow(true);
    let delivery = hasty(&folder, server.sink(port))
        .with_deadline(Duration::from_secs(1))
        .start()
        .unwrap();
    let failed = delivery.wait_for(|status| status.failures >= 1).await;
    assert_eq!(failed.position, 0);
    assert_eq!(
        failed.last_failure.unwrap().kind,
        SinkErrorKind::Unavailable
    );
    line.swallow(false);
    delivery.wait_for(|status| status.position >= 100).await;

    // From now on it does not hear what the server says.
    line.swallow_answers(true);
    fill(&ledger, 100);
    let failed = delivery.wait_for(|status| status.failures >= 1).await;
    assert!(failed.position < 200, "{failed:?}");
    line.swallow_answers(false);
    let report = end(&ledger, &folder).await;
    let status = delivery.shutdown(PATIENCE).await;
    assert_eq!(status.position, report.entries, "{status:?}");
    check(server, report.entries, "the connection hung").await;
}

async fn sink_crashes_before_it_keeps_its_place<S: Server>(server: &mut S) {
    let (folder, size) = ledger_of(300).await;
    for _ in 0..2 {
        let mut tail = tail(&folder);
        let mut sink = server.sink(server.port());
        let origin = tail.origin().to_owned();
        let entries = tail.ahead(120, 1 << 20).unwrap();
        assert_eq!(entries.len(), 120);
        sink.deliver(Batch::new(&origin, entries)).await.unwrap();
        // Both end here, and nothing says that the entries were taken.
    }
    let delivery = hasty(&folder, server.sink(server.port())).start().unwrap();
    delivery.shutdown(PATIENCE).await;
    check(server, size, "it crashed before it kept its place").await;
}

async fn sink_is_far_behind_while_the_log_rotates<S: Server>(server: &mut S) {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let sink = server.sink(server.port());
    let delivery = hasty(&folder, sink)
        .with_batch(500, 1 << 20)
        .with_ledger(&ledger)
        .start()
        .unwrap();
    fill(&ledger, 200);
    delivery.wait_for(|status| status.position > 0).await;
    // Whoever is down falls behind, however slow the disk of the log is.
    server.crash();
    for _ in 0..12 {
        fill(&ledger, 1000);
        tokio::task::yield_now().await;
    }
    let behind = async {
        while delivery.status().lag.is_none_or(|lag| lag == 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let behind = tokio::time::timeout(PATIENCE, behind).await;
    assert!(behind.is_ok(), "a sink whose server is down is behind");
    server.run().await;
    let report = end(&ledger, &folder).await;
    let segments = std::fs::read_dir(folder.path()).unwrap().filter(|file| {
        let path = file.as_ref().unwrap().path();
        path.extension().is_some_and(|it| it == "segment")
    });
    assert!(segments.count() > 3);
    let status = delivery.shutdown(PATIENCE).await;
    assert_eq!((status.position, status.missed), (report.entries, 0));
    assert_eq!(status.lag, Some(0));
    check(server, report.entries, "it was far behind").await;
}
