//! A ledger in a folder of its own, and services in front of it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bartizan_audit::{
    Kind, Ledger, LedgerBuilder, LedgerReader, LedgerReport, Record, RequestRecord, StoredEntry,
    Verdict, Verification, Verifier,
};
use bartizan_core::{Connection, Principal, Scheme, SecurityContext};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

pub(crate) const ORIGIN: &str = "orders.example/audit";

/// A folder that is removed at the end.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bartizan-audit-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn builder(&self) -> LedgerBuilder {
        Ledger::builder(&self.0, ORIGIN)
            .with_segment_bytes(256 * 1024)
            .with_flush_interval(Duration::from_millis(1))
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.builder().open().unwrap()
    }

    pub(crate) fn entries(&self) -> Vec<StoredEntry> {
        let mut reader = LedgerReader::open(&self.0).unwrap();
        let mut entries = Vec::new();
        loop {
            let batch = reader.next_batch().unwrap();
            if batch.is_empty() {
                return entries;
            }
            entries.extend(batch);
        }
    }

    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let entries = self.entries();
        entries
            .iter()
            .map(|it| it.record().unwrap().kind())
            .collect()
    }

    pub(crate) fn verify(&self) -> Verification {
        Verifier::new().run(&self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Ends the ledger, and holds it to its law.
pub(crate) async fn end(ledger: &Ledger, folder: &Folder) -> LedgerReport {
    let report = ledger.shutdown(Duration::from_secs(5)).await;
    assert!(report.complete, "{report:?}");
    let totals = report.totals;
    assert_eq!(totals.accepted, totals.durable + totals.lost, "the law");
    let verification = folder.verify();
    assert_eq!(
        verification.verdict(),
        Verdict::Intact,
        "{:?}",
        verification.findings
    );
    assert_eq!(verification.entries, report.entries);
    report
}

/// Calls `look` with the records of all requests.
pub(crate) fn with_requests<R>(folder: &Folder, look: impl FnOnce(&[RequestRecord<'_>]) -> R) -> R {
    let entries = folder.entries();
    let requests: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry.record().unwrap() {
            Record::Request(request) => Some(*request),
            _ => None,
        })
        .collect();
    look(&requests)
}

pub(crate) fn get(uri: &str) -> Request<Full<Bytes>> {
    let mut request = Request::get(uri).body(Full::default()).unwrap();
    let connection = Connection::from_remote("192.0.2.7:4000".parse().unwrap());
    request.extensions_mut().insert(connection);
    request
}

pub(crate) fn alice() -> Principal {
    Principal::builder(Scheme::Jwt, "https://issuer.example", "alice")
        .with_client("app")
        .with_token_id("t-1")
        .assert_verified()
}

/// As an authenticating layer further in would.
pub(crate) fn authenticate<B>(request: &Request<B>) {
    let context = SecurityContext::of(request.extensions()).unwrap();
    context.set_principal(alice()).unwrap();
}

pub(crate) fn ok(text: &'static str) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(
        text.as_bytes(),
    ))))
}
