//! Segments as files: whatever is in one, verification, reading and recovery come to an end, and
//! nothing that was changed is taken for intact or continued as if nothing were.

use std::sync::OnceLock;
use std::time::Duration;

use bartizan_audit::{Ledger, LedgerReader, Verdict, Verifier};

use crate::input::Input;

/// The files of a small ledger that ended in order.
fn genuine() -> &'static Vec<(String, Vec<u8>)> {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("fuzz-audit-made-{}", std::process::id()));
        let builder = Ledger::builder(&folder, "log.example/audit");
        let ledger = builder
            .with_segment_bytes(128 * 1024)
            .open()
            .expect("a ledger");
        ledger.shutdown_blocking(Duration::from_secs(5));
        drop(ledger);
        let files = std::fs::read_dir(&folder)
            .expect("a folder")
            .filter_map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path.file_name()?.to_str()?.to_owned();
                Some((name, std::fs::read(&path).expect("a file")))
            });
        let files = files.filter(|(name, _)| !name.ends_with(".new")).collect();
        std::fs::remove_dir_all(&folder).expect("ours");
        files
    })
}

/// Everything but the zeros at the end.
fn used(content: &[u8]) -> &[u8] {
    let last = content.iter().rposition(|byte| *byte != 0);
    last.and_then(|last| content.get(..=last))
        .unwrap_or_default()
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (at, cut, bytes) = (input.short(), input.byte(), input.rest());
    let folder = std::env::temp_dir().join(format!("fuzz-audit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut changed = false;
    for (name, content) in genuine() {
        let mut content = content.clone();
        if name.ends_with(".segment") {
            let before = content.clone();
            let at = usize::from(at) % (content.len() + 1);
            let behind = (at + usize::from(cut)).min(content.len());
            content.splice(at..behind, bytes.iter().copied());
            // Zeros behind the end are what a prepared segment has there.
            changed = used(&content) != used(&before);
        }
        std::fs::write(folder.join(name), content).expect("a file");
    }
    let verification = Verifier::new()
        .run(&folder)
        .expect("files that can be read");
    if changed {
        assert_ne!(verification.verdict(), Verdict::Intact);
    } else {
        assert_eq!(verification.verdict(), Verdict::Intact);
    }
    if let Ok(mut reader) = LedgerReader::open(&folder) {
        while reader.next_batch().is_ok_and(|batch| !batch.is_empty()) {}
    }
    // What cannot be continued is refused; what is, verifies afterwards as far as it says.
    let opened = Ledger::builder(&folder, "log.example/audit")
        .with_segment_bytes(128 * 1024)
        .with_spare_segments(0)
        .open();
    if let Ok(ledger) = opened {
        ledger.shutdown_blocking(Duration::from_secs(5));
        drop(ledger);
        let after = Verifier::new()
            .run(&folder)
            .expect("files that can be read");
        assert_eq!(after.verdict(), Verdict::Intact, "{:?}", after.findings);
    }
    std::fs::remove_dir_all(&folder).expect("ours");
}
