//! `bartizan audit verify`.

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bartizan::audit::{Finding, Severity, Verdict, Verification, Verifier};
use bartizan::core::{Clock, SystemClock};
use clap::Args;
use serde_json::{Value, json};

use super::{checkpoint, cosigner, hex, log_key, read};
use crate::output::{Output, Text};

/// What the ledger is held against.
#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The log's first key (`log.vkey`), kept elsewhere: the key itself, or a file with it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A checkpoint that was kept elsewhere, and that the ledger has to contain
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A witness whose word counts, by its key: the key itself, or a file with it
    #[arg(long, value_name = "KEY")]
    witness: Vec<String>,
    /// How many of the witnesses it takes; all of them unless said
    #[arg(long, value_name = "NUMBER", requires = "witness")]
    quorum: Option<NonZeroUsize>,
    /// A cosigned checkpoint from elsewhere, such as the witness itself
    #[arg(long, value_name = "FILE", requires = "witness")]
    cosigned: Vec<PathBuf>,
    /// How many seconds old the word of the witnesses may be
    #[arg(long, value_name = "SECONDS", requires = "witness")]
    witnessed_within: Option<u64>,
    /// Do not miss the end of the run
    #[arg(long)]
    running: bool,
}

impl Verify {
    fn verifier(&self) -> anyhow::Result<Verifier> {
        let mut verifier = Verifier::new();
        if let Some(key) = &self.key {
            verifier = verifier.with_key(log_key(key)?);
        }
        for path in &self.checkpoint {
            verifier = verifier.add_checkpoint(checkpoint(path)?.0);
        }
        for key in &self.witness {
            verifier = verifier.add_witness(cosigner(key)?);
        }
        if let Some(quorum) = self.quorum {
            verifier = verifier.with_quorum(quorum);
        }
        for path in &self.cosigned {
            verifier = verifier.add_cosigned(&read(path)?);
        }
        if let Some(seconds) = self.witnessed_within {
            let now = SystemClock.wall().unix_seconds();
            verifier = verifier.require_witnessed_since(now.saturating_sub(seconds));
        }
        if self.running {
            verifier = verifier.allow_running();
        }
        Ok(verifier)
    }
}

pub(super) fn verify(ledger: &Path, how: &Verify, json: bool) -> anyhow::Result<ExitCode> {
    let verifier = how.verifier()?;
    let shows = io::stderr().is_terminal();
    let verification = verifier.run_with(ledger, |read, total| {
        if shows {
            progress(read, total);
        }
    });
    let verification = verification.with_context(|| format!("cannot read {}", ledger.display()))?;
    if shows {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    Output {
        text: Text::Lines(told(&verification)),
        json: as_json(&verification),
    }
    .print(json)?;
    Ok(ExitCode::from(verification.verdict().exit_code()))
}

fn progress(read: u64, total: u64) {
    let share = (read.saturating_mul(40) / total.max(1)).min(40);
    let bar: String = (0..40)
        .map(|at| if at < share { '#' } else { '.' })
        .collect();
    let _ = write!(
        io::stderr(),
        "\r[{bar}] {} of {} MiB",
        read >> 20,
        total >> 20
    );
}

fn told(verification: &Verification) -> Vec<String> {
    let mut lines: Vec<String> = verification.findings.iter().map(line).collect();
    let verdict = match verification.verdict() {
        Verdict::Intact => "intact",
        Verdict::Incomplete => "incomplete",
        Verdict::Tampered => "TAMPERED",
    };
    lines.push(format!(
        "{verdict}: {} entries in {} segments, {} checkpoints, epoch {}, {} runs, {} events lost",
        verification.entries,
        verification.segments,
        verification.checkpoints,
        verification.epoch,
        verification.runs,
        verification.lost,
    ));
    if verification.pruned > 0 {
        lines.push(format!(
            "{} of the entries are pruned: their hashes are there, their bodies are not",
            verification.pruned
        ));
    }
    if let Some(witnessed) = verification.witnessed {
        lines.push(format!(
            "witnessed: the first {} entries, at {} seconds since 1970-01-01",
            witnessed.size, witnessed.time
        ));
    }
    lines.push(format!("root {}", hex(&verification.root)));
    lines
}

fn line(finding: &Finding) -> String {
    let severity = severity(finding);
    format!("{severity}: {}: {}", finding.place, finding.kind)
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity() {
        Severity::Note => "note",
        Severity::Incomplete => "incomplete",
        Severity::Tampered => "TAMPERED",
    }
}

fn as_json(verification: &Verification) -> Value {
    let findings: Vec<Value> = verification
        .findings
        .iter()
        .map(|finding| {
            json!({
                "severity": severity(finding).to_ascii_lowercase(),
                "kind": finding.kind.as_str(),
                "text": finding.kind.to_string(),
                "segment": finding.place.segment,
                "offset": finding.place.offset,
                "entry": finding.place.entry,
            })
        })
        .collect();
    json!({
        "exit_code": verification.verdict().exit_code(),
        "entries": verification.entries,
        "root": hex(&verification.root),
        "segments": verification.segments,
        "checkpoints": verification.checkpoints,
        "epoch": verification.epoch,
        "runs": verification.runs,
        "lost": verification.lost,
        "pruned": verification.pruned,
        "witnessed": verification.witnessed.map(|it| json!({"size": it.size, "time": it.time})),
        "findings": findings,
    })
}
