//! The log of customers: whole as it is, and whatever is done to a copy of it is found.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bartizan_audit::{Checkpoint, LedgerReader, Severity, StoredEntry, Verdict, Verifier};

use super::Rows;
use crate::client::{BoxError, measured};
use crate::wire::Alert;

/// The ledger's only segment: the demo does not fill it.
const SEGMENT: &str = "000000000000.segment";
/// What stands in front of an entry: its length, the beginning of its hash, a zero.
const FRAME_HEAD: usize = 13;

pub(super) fn add(rows: &mut Rows<'_>) {
    rows.group(
        "The log of customers",
        "Each record is a leaf of a signed Merkle tree: whatever is done to a copy is found.",
    );
    let folder = rows.scene.folder.join("customers-audit");
    let copies = rows.scene.folder.clone();

    let log = folder.clone();
    rows.add(
        "log: as it is, while it is being written",
        ("intact", "nothing lost"),
        measured(Alert::default(), async move {
            let found = Verifier::new().allow_running().run(&log)?;
            let said = match (found.lost, found.entries) {
                (0, 1..) => "nothing lost".to_owned(),
                (lost, entries) => format!("{lost} of {entries} lost"),
            };
            Ok((verdict(found.verdict()), said))
        }),
    );
    let mut tampered = |what, expected, tamper: fn(&mut Vec<u8>, &[StoredEntry]) -> Option<()>| {
        let (log, copy) = (folder.clone(), copies.join("customers-audit-copy"));
        let verified = async move { verify_tampered(&log, copy, tamper) };
        let expected = ("tampered", expected);
        rows.add(what, expected, measured(Alert::default(), verified));
    };
    tampered(
        "log: one bit flipped",
        "broken_frame",
        |segment, entries| {
            let at = place(segment, entries.get(entries.len() / 2)?)?;
            *segment.get_mut(at)? ^= 1;
            Some(())
        },
    );
    tampered("log: its end cut off", "truncated", |segment, entries| {
        // As if the last requests had never been.
        let at = place(segment, entries.get(entries.len().checked_sub(6)?)?)?;
        segment.truncate(at.checked_sub(FRAME_HEAD)?);
        Some(())
    });
    tampered(
        "log: two records exchanged",
        "wrong_root",
        |segment, entries| {
            let neighbours = entries.windows(2).find_map(|pair| {
                let [first, second] = pair else { return None };
                let (a, b) = (place(segment, first)?, place(segment, second)?);
                let adjacent = a + first.bytes.len() + FRAME_HEAD == b;
                let end = b + second.bytes.len();
                adjacent.then_some((a.checked_sub(FRAME_HEAD)?, b.checked_sub(FRAME_HEAD)?, end))
            });
            let (begin, middle, end) = neighbours?;
            segment.get_mut(begin..end)?.rotate_left(middle - begin);
            Some(())
        },
    );
}

/// Does something to a copy of the log, and says what verification finds in it.
fn verify_tampered(
    log: &Path,
    copy: PathBuf,
    tamper: fn(&mut Vec<u8>, &[StoredEntry]) -> Option<()>,
) -> Result<(String, String), BoxError> {
    self::copy(log, &copy)?;
    let mut reader = LedgerReader::open(&copy)?;
    let before = Verifier::new().allow_running().run(&copy)?;
    if before.verdict() != Verdict::Intact {
        return Err("the copy is not whole".into());
    }
    // What the log has committed to, as somebody else would have kept it: without, no log can be
    // told from its own beginning.
    let kept = Checkpoint::new(reader.origin(), before.entries, before.root);
    let entries = reader.next_batch()?;
    let mut segment = fs::read(copy.join(SEGMENT))?;
    tamper(&mut segment, &entries).context("there is nothing to tamper with")?;
    fs::write(copy.join(SEGMENT), segment)?;

    let found = Verifier::new().add_checkpoint(kept).run(&copy)?;
    let worst = found
        .findings
        .iter()
        .find(|finding| finding.severity() == Severity::Tampered);
    let said = worst.map_or("nothing found", |finding| finding.kind.as_str());
    Ok((verdict(found.verdict()), said.to_owned()))
}

/// Copies a log as it is at this moment, in place of an earlier copy.
pub(super) fn copy(log: &Path, copy: &Path) -> std::io::Result<()> {
    let _ = fs::remove_dir_all(copy);
    fs::create_dir_all(copy)?;
    for file in fs::read_dir(log)? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), copy.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// Where an entry stands in its segment.
fn place(segment: &[u8], entry: &StoredEntry) -> Option<usize> {
    let bytes = &entry.bytes;
    segment
        .windows(bytes.len())
        .position(|window| window == bytes)
}

pub(super) fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Intact => "intact",
        Verdict::Incomplete => "incomplete",
        Verdict::Tampered => "tampered",
    }
    .to_owned()
}
