//! A ledger with something in it.

use bartizan_audit::{AuditObserver, Ledger, Tail};
use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe};

use crate::support::{Folder, end};

/// Appends so many entries.
pub(crate) fn fill(ledger: &Ledger, count: usize) {
    for number in 0..count {
        tell(ledger, &format!("key-{number}"));
    }
}

/// Appends an entry with this text in it, twice.
pub(crate) fn tell(ledger: &Ledger, text: &str) {
    let code = Code::new("test.key_changed");
    let event = LifecycleEvent::new("test", LifecycleKind::KeyChanged, code);
    let event = event.with_subject(text).with_detail(&text);
    AuditObserver::new(ledger.clone()).observe(&Event::Lifecycle(event));
}

/// A ledger that has ended, of so many entries, and a start and an end.
pub(crate) async fn ledger_of(count: usize) -> (Folder, u64) {
    let folder = Folder::new();
    let ledger = folder.ledger();
    fill(&ledger, count);
    let report = end(&ledger, &folder).await;
    (folder, report.entries)
}

/// A sink's place in a ledger, which nobody keeps.
pub(crate) fn tail(folder: &Folder) -> Tail {
    Tail::open(folder.path(), folder.path().join("unkept.cursor")).unwrap()
}

/// All of the indexes, once each.
pub(crate) fn all(size: u64) -> Vec<u64> {
    (0..size).collect()
}
