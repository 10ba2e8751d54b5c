//! Cosignatures, and the file that keeps them beside the ledger.

use std::io;
use std::path::Path;

use bartizan_source::{FileMode, write_atomically};

use crate::note::{Note, signature};
use crate::witness::CosignerKey;
use crate::writer::COSIGNED_FILE;

/// A witness has cosigned a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Cosignature {
    /// By which key.
    pub key: CosignerKey,
    /// How many entries the checkpoint commits to.
    pub size: u64,
    /// When, in seconds since 1970-01-01T00:00:00Z, by the clock of the witness.
    pub time: u64,
    /// The signature line.
    pub line: String,
}

impl Cosignature {
    pub(super) fn new(key: CosignerKey, size: u64, time: u64, line: &str) -> Self {
        Self {
            key,
            size,
            time,
            line: line.to_owned(),
        }
    }
}

/// Keeps a checkpoint with its cosignatures, if there are enough of them, together with those that
/// are there already over the same checkpoint. Never in place of one with more of them.
pub(super) fn keep(
    folder: &Path,
    note: &str,
    cosignatures: &[Cosignature],
    quorum: usize,
) -> io::Result<bool> {
    let path = folder.join(COSIGNED_FILE);
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines: Vec<String> = cosignatures.iter().map(|it| it.line.clone()).collect();
    if let (Ok(held), Ok(new)) = (Note::parse(held.as_bytes()), Note::parse(note.as_bytes()))
        && held.text() == new.text()
    {
        let others = held.signatures().iter().filter(|it| {
            let is_new = |line: &String| {
                signature(line)
                    .is_some_and(|new| new.name() == it.name() && new.key_hash() == it.key_hash())
            };
            !lines.iter().any(is_new) && !new.signatures().contains(it)
        });
        let mut kept = String::new();
        for other in others {
            crate::note::put_signature(&mut kept, other.name(), other.key_hash(), other.bytes());
        }
        lines.extend(kept.lines().map(str::to_owned));
    }
    if lines.len() < quorum.max(1) {
        return Ok(false);
    }
    let mut text = note.to_owned();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    write_atomically(&path, text.as_bytes(), FileMode::PRIVATE)?;
    Ok(true)
}
