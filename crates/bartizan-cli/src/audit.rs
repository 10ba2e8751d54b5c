//! `bartizan audit`: reads and verifies the ledger of a service, running or not.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bartizan::audit::{
    Checkpoint, EntryProof, Finding, Format, Hash, LedgerReader, LineSink, Note, Prover, Renderer,
    Severity, Tail, Verdict, Verification, Verifier, VerifierKey, escaped,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::output::{Output, Text};

/// The exit code for a command that cannot be understood.
pub(crate) const USAGE: u8 = 3;

/// How often a tail looks for more.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes of verify: 0 intact; 1 tampered; 2 incomplete or unsealed; \
                        3 not understood."
)]
pub(crate) struct Audit {
    /// The folder of the ledger
    #[arg(long, value_name = "FOLDER", env = "BARTIZAN_AUDIT")]
    ledger: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Hash every byte anew, and say what does not fit
    Verify {
        /// The log's first key (`log.vkey`), kept elsewhere: the key itself, or a file with it
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// A checkpoint that was kept elsewhere, and that the ledger has to contain
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// Do not miss the end of the run
        #[arg(long)]
        running: bool,
    },
    /// Prove that an entry is in the log, in the form of C2SP tlog-proof
    Prove {
        /// The entry
        index: u64,
        /// The checkpoint that the proof leads to, by default the ledger's own
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Prove that the first entries were not changed since
    Consistency {
        /// How many entries there were
        old: u64,
        /// How many there are
        new: u64,
    },
    /// Print entries as they are written, from where the cursor stands
    Tail {
        /// The form: json, ocsf, ecs or cef
        #[arg(long, default_value = "json")]
        format: Format,
        /// Where the place is kept
        #[arg(long, value_name = "FILE")]
        cursor: PathBuf,
        /// Wait for more
        #[arg(long)]
        follow: bool,
    },
    /// Print all entries
    Export {
        /// The form: json, ocsf, ecs or cef
        #[arg(long, default_value = "json")]
        format: Format,
        /// The first entry
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Print the entries whose line holds a text
    Grep {
        /// The text
        text: String,
        /// The form: json, ocsf, ecs or cef
        #[arg(long, default_value = "json")]
        format: Format,
    },
}

impl Audit {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<ExitCode> {
        let ledger = &*self.ledger;
        let output = match &self.command {
            Command::Verify {
                key,
                checkpoint,
                running,
            } => return verify(ledger, key.as_deref(), checkpoint, *running, json),
            Command::Prove { index, checkpoint } => prove(ledger, *index, checkpoint.as_deref())?,
            Command::Consistency { old, new } => consistency(ledger, *old, *new)?,
            Command::Tail {
                format,
                cursor,
                follow,
            } => return done(tail(ledger, *format, cursor, *follow)),
            Command::Export { format, from } => {
                return done(lines(ledger, *format, *from, |_| true));
            }
            Command::Grep { text, format } => {
                return done(lines(ledger, *format, 0, |line| line.contains(text)));
            }
        };
        output.print(json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whoever reads may have read enough.
fn done(result: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let is_enough = |error: &anyhow::Error| {
        let io = error.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match result {
        Err(error) if !is_enough(&error) => Err(error),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn verify(
    ledger: &Path,
    key: Option<&str>,
    checkpoints: &[PathBuf],
    running: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut verifier = Verifier::new();
    if let Some(key) = key {
        let text = match std::fs::read_to_string(key) {
            Ok(text) => text,
            Err(_) => key.to_owned(),
        };
        let key = VerifierKey::parse(text.trim_end()).context("the pinned key")?;
        verifier = verifier.with_key(key);
    }
    for path in checkpoints {
        verifier = verifier.add_checkpoint(checkpoint(path)?.0);
    }
    if running {
        verifier = verifier.allow_running();
    }
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
        "findings": findings,
    })
}

/// A checkpoint in a file, and the note that it is.
fn checkpoint(path: &Path) -> anyhow::Result<(Checkpoint, String)> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let note = Note::parse(text.as_bytes()).context("the checkpoint")?;
    let checkpoint = Checkpoint::parse(note.text()).context("the checkpoint")?;
    Ok((checkpoint, text))
}

fn prove(ledger: &Path, index: u64, file: Option<&Path>) -> anyhow::Result<Output> {
    let own = ledger.join("checkpoint");
    let (checkpoint, note) = checkpoint(file.unwrap_or(&own))?;
    let prover = Prover::load(ledger)?;
    let hashes = prover.inclusion(index, checkpoint.size)?;
    let proof = EntryProof::new(index, hashes, &note).to_string();
    let json = json!({"index": index, "size": checkpoint.size, "proof": proof});
    Ok(Output::line(proof.trim_end(), json))
}

fn consistency(ledger: &Path, old: u64, new: u64) -> anyhow::Result<Output> {
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

fn tail(ledger: &Path, format: Format, cursor: &Path, follow: bool) -> anyhow::Result<()> {
    let mut tail = Tail::open(ledger, cursor)?;
    let renderer = Renderer::new(format, tail.origin());
    let mut sink = LineSink::new(renderer, io::stdout().lock());
    loop {
        if tail.step(&mut sink)? == 0 {
            if !follow {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn lines(
    ledger: &Path,
    format: Format,
    from: u64,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<()> {
    let mut reader = LedgerReader::open_at(ledger, from)?;
    let renderer = Renderer::new(format, reader.origin());
    let mut out = io::stdout().lock();
    loop {
        let batch = reader.next_batch()?;
        if batch.is_empty() {
            return Ok(out.flush()?);
        }
        for entry in batch {
            let line = renderer.render(&entry);
            let line = line.with_context(|| escaped(&format!("entry {}", entry.index)))?;
            if wanted(&line) {
                writeln!(out, "{line}")?;
            }
        }
    }
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
