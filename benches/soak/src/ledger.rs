//! Reads the ledger when everything is over.

use std::path::Path;

use anyhow::ensure;
use bartizan::audit::{LedgerReader, Record as Stored, Verdict, Verifier};

use crate::journal::Id;
use crate::reconcile::{Entry, Reconciler, Record};

/// Verifies the ledger, and gives each of its entries to the reconciler. Says how many there are.
///
/// # Errors
///
/// If the ledger is not intact, or cannot be read.
pub(crate) fn read(folder: &Path, reconciler: &mut Reconciler<'_>) -> anyhow::Result<u64> {
    let verification = Verifier::new().run(folder)?;
    ensure!(
        verification.verdict() == Verdict::Intact,
        "the ledger is {:?}: {:?}",
        verification.verdict(),
        verification.findings
    );
    let mut reader = LedgerReader::open(folder)?;
    loop {
        let batch = reader.next_batch()?;
        if batch.is_empty() {
            break;
        }
        for stored in &batch {
            reconciler.take(&entry(&stored.record()?));
        }
    }
    ensure!(
        reader.position() == verification.entries,
        "{} entries were verified, {} read",
        verification.entries,
        reader.position()
    );
    Ok(verification.entries)
}

fn entry(record: &Stored<'_>) -> Entry {
    match record {
        Stored::Lifecycle(_) => Entry::Lifecycle,
        Stored::Loss(loss) => Entry::Loss(loss.total()),
        Stored::Refusals(refusals) => Entry::Refusals(refusals.code.to_owned(), refusals.count),
        Stored::Request(request) => Entry::Request(Record {
            id: request
                .trace
                .and_then(|trace| Id::of_trace(&trace.trace_id)),
            stage: request.stage,
            ending: request.ending,
            status: request.status,
            grpc: request.grpc_status,
        }),
        _ => Entry::Own,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::path::PathBuf;
    use std::time::Duration;

    use bartizan::audit::{AuditConfig, AuditLayer, Durability, Ledger, Rule};
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Empty, Full};
    use tower::{Layer as _, ServiceExt as _, service_fn};

    use super::*;
    use crate::journal::{Got, Journal, Sent};
    use crate::reconcile::{Counts, Reconciled, Said};

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Ten requests through a real layer into a real ledger: every second one is durable.
    async fn recorded(folder: &Path) -> (Vec<Vec<Sent>>, Said) {
        let ledger = Ledger::builder(folder, "soak.example/audit")
            .open()
            .unwrap();
        let durable = Rule::metadata().add_method("PUT");
        let durable = durable.with_durability(Durability::Durable);
        let config = AuditConfig::builder(ledger.clone()).add_rule(durable);
        let service = AuditLayer::new(config.build().unwrap()).layer(service_fn(
            async |_: Request<Empty<Bytes>>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"yes"))))
            },
        ));
        let journal = Journal::default();
        let lane = journal.lane();
        for number in 0..10 {
            let (method, records) = [("GET", 1), ("PUT", 2)][number % 2];
            let id = lane.begin(records);
            let request = Request::builder().method(method).uri("/");
            let request = request.header("traceparent", id.traceparent());
            let request = request.body(Empty::new()).unwrap();
            let response = service.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            response.into_body().collect().await.unwrap();
            lane.end(id, Got::Answer { status, grpc: None });
        }
        drop(service);
        let report = ledger.shutdown(Duration::from_secs(10)).await;
        let said = Said {
            lifecycle: 0,
            accepted: report.totals.accepted,
            durable: report.totals.durable,
            lost: report.totals.lost,
            complete: report.complete,
        };
        (journal.sent(), said)
    }

    fn reconciled(folder: &Path, sent: &[Vec<Sent>], said: &Said) -> Reconciled {
        let mut reconciler = Reconciler::new(sent);
        read(folder, &mut reconciler).unwrap();
        reconciler.conclude(&Counts::default(), said)
    }

    #[tokio::test]
    async fn a_real_ledger_agrees_with_its_clients_and_with_nobody_else() {
        let name = format!("bartizan-soak-test-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        let (mut sent, said) = recorded(&folder.0).await;
        let result = reconciled(&folder.0, &sent, &said);
        assert_eq!((result.requests, result.recorded), (10, 10));
        assert_eq!(result.told, Vec::<String>::new());

        let refused = Got::Answer {
            status: 403,
            grpc: None,
        };
        let was = std::mem::replace(&mut sent[0][4].got, refused);
        assert_eq!(reconciled(&folder.0, &sent, &said).differences, 1);
        sent[0][4].got = was;
        let forgotten = sent[0].pop();
        // Both parts of the last one are records of nobody.
        assert_eq!(reconciled(&folder.0, &sent, &said).differences, 2);
        sent[0].extend([forgotten.unwrap(); 2]);
        // One more was answered than there are records of.
        let told = reconciled(&folder.0, &sent, &said).told;
        assert!(told[0].contains("missing are 2"), "{told:?}");
    }
}
