//! A ledger whose storage fails while somebody reads it.

use super::*;
use crate::record::Totals;
use crate::storage::Storage as _;
use crate::storage::fragile::{FragileDisk, Operation, Planned};
use crate::writer::Writer;
use crate::writer::tests::{NOW, frames, settings};

fn rest(reader: &mut LedgerReader) -> Vec<StoredEntry> {
    let mut entries = Vec::new();
    loop {
        let batch = reader.next_batch().unwrap();
        if batch.is_empty() {
            return entries;
        }
        entries.extend(batch);
    }
}

#[test]
fn what_is_behind_a_failure_of_the_storage_is_given_with_its_place_in_the_ledger() {
    let folder = std::env::temp_dir().join(format!("bartizan-read-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let disk = FragileDisk::default();
    let show = |number| {
        let name = segment_name(number);
        std::fs::write(folder.join(&name), disk.read(&name).unwrap()).unwrap();
    };
    let (mut writer, _) = Writer::open(disk.clone(), settings(), NOW).unwrap();
    writer.commit(&mut frames(0, 3), NOW).unwrap();
    // The segment is not cut off either, as it is not yet while a failing disk is waited for.
    for operation in [Operation::Sync, Operation::Truncate] {
        disk.plan(Planned {
            operation,
            skip: 0,
            times: 1,
            error: io::ErrorKind::Other,
        });
    }
    let mut more = frames(3, 3);
    let interrupted = writer.commit(&mut more, NOW).unwrap_err();
    // What was written is there to be read, and was not made durable.
    show(0);
    let mut reader = LedgerReader::open(&folder).unwrap();
    let given = rest(&mut reader);
    let left = more.get_mut(interrupted.written..).unwrap();
    writer.commit(left, NOW).unwrap();
    writer.close(Totals::default(), NOW).unwrap();
    (0..2).for_each(show);

    let again = rest(&mut reader);
    let ledger = rest(&mut LedgerReader::open(&folder).unwrap());
    assert!(!ledger.starts_with(&given), "nothing of it was given up");
    for entry in &again {
        let index = usize::try_from(entry.index).unwrap();
        assert_eq!(ledger.get(index), Some(entry));
    }
    assert!(ledger.ends_with(&again));
    std::fs::remove_dir_all(&folder).unwrap();
}
