//! Entries of a ledger: what is read writes back as it was, and renders as a line that is read back.

use bartizan_audit::{Format, Record, Renderer, StoredEntry};

/// Holds the bytes to what the head of this file says.
pub fn check(entry: &[u8]) {
    let Ok(record) = Record::decode(entry) else {
        return;
    };
    // The writer begins no field behind 60 KiB; a reader takes what it finds.
    if entry.len() < 60 * 1024 {
        let mut again = Vec::new();
        record.encode(&mut again);
        assert_eq!(again, entry);
    }
    let stored = StoredEntry::new(7, entry.to_vec());
    for format in [Format::Cef, Format::Ecs, Format::Json, Format::Ocsf] {
        let renderer = Renderer::new(format, "log.example/audit");
        let line = renderer.render(&stored).expect("it was read before");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        if format != Format::Cef {
            let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert!(read.is_object());
        }
    }
}
