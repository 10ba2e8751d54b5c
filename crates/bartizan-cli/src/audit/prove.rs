//! `bartizan audit prove`, `consistency` and `checkpoint`: what is shown to others.

use std::path::Path;

use anyhow::Context;
use bartizan::audit::{Checkpoint, EntryProof, Note, Prover};
use serde_json::json;

use super::{checkpoint, hex, read};
use crate::output::{Output, Text};

pub(super) fn prove(ledger: &Path, index: u64, file: Option<&Path>) -> anyhow::Result<Output> {
    let own = ledger.join("checkpoint");
    let (checkpoint, note) = checkpoint(file.unwrap_or(&own))?;
    let prover = Prover::load(ledger)?;
    let hashes = prover.inclusion(index, checkpoint.size)?;
    let proof = EntryProof::new(index, hashes, &note).to_string();
    let json = json!({"index": index, "size": checkpoint.size, "proof": proof});
    Ok(Output::line(proof.trim_end(), json))
}

pub(super) fn consistency(ledger: &Path, old: u64, new: u64) -> anyhow::Result<Output> {
    let prover = Prover::load(ledger)?;
    let proof = prover.consistency(old, new)?;
    let (old_root, new_root) = (prover.root(old)?, prover.root(new)?);
    let mut lines = vec![
        format!("old {old} {}", hex(&old_root)),
        format!("new {new} {}", hex(&new_root)),
    ];
    lines.extend(proof.iter().map(hex));
    let hashes: Vec<String> = proof.iter().map(hex).collect();
    let json = json!({
        "old": old, "new": new, "old_root": hex(&old_root), "new_root": hex(&new_root),
        "proof": hashes,
    });
    Ok(Output {
        text: Text::Lines(lines),
        json,
    })
}

/// The newest checkpoint of the ledger, or the one that witnesses cosigned last.
pub(super) fn shown(ledger: &Path, cosigned: bool) -> anyhow::Result<Output> {
    let note = if cosigned {
        read(&ledger.join("checkpoint.cosigned"))?
    } else {
        let prover = Prover::load(ledger)?;
        prover
            .checkpoint()
            .context("no checkpoint covers all entries; verify the ledger")?
    };
    let parsed = Note::parse(note.as_bytes()).context("the checkpoint")?;
    let checkpoint = Checkpoint::parse(parsed.text()).context("the checkpoint")?;
    let json = json!({
        "origin": checkpoint.origin, "size": checkpoint.size, "root": hex(&checkpoint.root),
        "checkpoint": note,
    });
    Ok(Output::line(note.trim_end(), json))
}
