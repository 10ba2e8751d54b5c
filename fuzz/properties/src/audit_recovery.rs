//! A torn tail: wherever a run broke off, and whatever stands behind, looking says what opening
//! does; whole records are kept, and what is continued is intact.

use std::sync::OnceLock;
use std::time::Duration;

use bartizan_audit::{Ledger, Recovery, Verdict, Verifier};

use crate::input::Input;

const SEGMENT: &str = "000000000000.segment";

/// The files of a ledger, and where its last run can have broken off: its segment as it was
/// while it ran has neither an end nor a checkpoint elsewhere.
fn genuine() -> &'static Vec<(String, Vec<u8>)> {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("fuzz-torn-made-{}", std::process::id()));
        let builder = Ledger::builder(&folder, "log.example/audit").with_spare_segments(0);
        let ledger = builder
            .with_segment_bytes(128 * 1024)
            .open()
            .expect("a ledger");
        ledger.shutdown_blocking(Duration::from_secs(5));
        drop(ledger);
        let files = ["keys", "log.vkey", SEGMENT].map(|name| {
            let bytes = std::fs::read(folder.join(name)).expect("a file");
            (name.to_owned(), bytes)
        });
        std::fs::remove_dir_all(&folder).expect("ours");
        files.to_vec()
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (length, zeros, behind) = (input.short(), input.byte(), input.rest());
    let folder = std::env::temp_dir().join(format!("fuzz-torn-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, content) in genuine() {
        let mut content = content.clone();
        if name == SEGMENT {
            content.truncate(usize::from(length) % (content.len() + 1));
            content.extend_from_slice(behind);
            content.resize(content.len() + usize::from(zeros) * 64, 0);
        }
        std::fs::write(folder.join(name), content).expect("a file");
    }
    let before = std::fs::read(folder.join(SEGMENT)).expect("a file");
    let seen = Recovery::examine(&folder).expect("files that can be read");
    assert_eq!(std::fs::read(folder.join(SEGMENT)).expect("a file"), before);
    let opened = Ledger::builder(&folder, "log.example/audit")
        .with_segment_bytes(128 * 1024)
        .with_spare_segments(0)
        .open();
    match opened {
        Err(error) => assert!(
            seen.damage.is_some() || seen.origin != "log.example/audit",
            "{error}: {seen:?}"
        ),
        Ok(ledger) => {
            assert_eq!(seen.damage, None);
            let report = ledger.shutdown_blocking(Duration::from_secs(5));
            drop(ledger);
            assert_eq!(report.recovered.is_some(), !seen.stopped);
            if let Some(repaired) = report.recovered {
                assert_eq!(repaired.torn_bytes, seen.torn_bytes);
                assert_eq!(repaired.unsealed, seen.unsealed);
            }
            let verified = Verifier::new()
                .run(&folder)
                .expect("files that can be read");
            assert_eq!(
                verified.verdict(),
                Verdict::Intact,
                "{:?}",
                verified.findings
            );
            assert!(verified.entries >= seen.entries);
        }
    }
    std::fs::remove_dir_all(&folder).expect("ours");
}
