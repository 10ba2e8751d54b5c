//! `bartizan audit recover` and `prune`: what changes a ledger whose service is stopped.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bartizan::audit::{Ledger, LedgerReport, Recovery, Retention, Verdict};
use clap::Args;
use serde_json::{Value, json};

use crate::output::{Output, Text};

/// How long the end of a run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens the ledger of a service that is stopped, for a run of its own.
pub(super) fn open(ledger: &Path, what: &str) -> anyhow::Result<Ledger> {
    let recovery = Recovery::examine(ledger);
    let recovery = recovery.with_context(|| format!("cannot read {}", ledger.display()))?;
    ensure!(!recovery.running, "the service is running: stop it first");
    if let Some(damage) = recovery.damage {
        bail!("the ledger was changed, and is not continued: {damage}");
    }
    let builder = Ledger::builder(ledger, &recovery.origin);
    Ok(builder.with_detail(what).with_spare_segments(0).open()?)
}

/// Ends that run.
pub(super) fn close(ledger: Ledger) -> anyhow::Result<LedgerReport> {
    let report = ledger.shutdown_blocking(PATIENCE);
    ensure!(
        report.complete,
        "the end of the ledger could not be written"
    );
    Ok(report)
}

pub(super) fn recover(ledger: &Path, yes: bool, json: bool) -> anyhow::Result<ExitCode> {
    let recovery = Recovery::examine(ledger);
    let recovery = recovery.with_context(|| format!("cannot read {}", ledger.display()))?;
    let (mut lines, mut verdict) = (Vec::new(), Verdict::Intact);
    let mut repaired = Value::Null;
    if let Some(damage) = &recovery.damage {
        verdict = Verdict::Tampered;
        lines.push(format!("TAMPERED: {damage}"));
        lines.push("no crash leaves that behind: keep it, verify it, begin another ledger".into());
    } else if recovery.running {
        lines.push("a service has the ledger: its end is not final".to_owned());
    } else if recovery.stopped {
        lines.push(format!(
            "nothing to repair: {} entries, ended in order",
            recovery.entries
        ));
    } else {
        lines.push(format!(
            "segment {}: {} entries, of which {} are not sealed and are kept; {} bytes behind them are torn",
            recovery.segment, recovery.entries, recovery.unsealed, recovery.torn_bytes
        ));
        if yes {
            let report = close(open(ledger, "bartizan audit recover")?)?;
            lines.push(format!("repaired, and sealed: {} entries", report.entries));
            repaired = json!({"entries": report.entries, "checkpoint": report.checkpoint});
        } else {
            verdict = Verdict::Incomplete;
            lines.push("say --yes to repair it; a service does so when it opens its ledger".into());
        }
    }
    let value = json!({
        "exit_code": verdict.exit_code(), "segment": recovery.segment,
        "entries": recovery.entries, "unsealed": recovery.unsealed,
        "torn_bytes": recovery.torn_bytes, "stopped": recovery.stopped,
        "running": recovery.running, "damage": recovery.damage, "repaired": repaired,
    });
    let text = Text::Lines(lines);
    Output { text, json: value }.print(json)?;
    Ok(ExitCode::from(verdict.exit_code()))
}

#[derive(Args, Debug)]
pub(super) struct Prune {
    /// Entries in front of this one, as far as they fill whole segments
    #[arg(long, value_name = "ENTRY", required_unless_present_any = ["older_than_days", "keep_bytes"])]
    before: Option<u64>,
    /// Entries that are older than so many days
    #[arg(long, value_name = "DAYS", conflicts_with = "before")]
    older_than_days: Option<u64>,
    /// The oldest, until the finished segments have no more than so many bytes
    #[arg(long, value_name = "BYTES", conflicts_with = "before")]
    keep_bytes: Option<u64>,
    /// It cannot be undone, and is done only with this
    #[arg(long)]
    yes: bool,
}

impl Prune {
    pub(super) fn run(&self, folder: &Path) -> anyhow::Result<Output> {
        ensure!(
            self.yes,
            "the bodies of entries are lost for good; say --yes if that is meant"
        );
        let ledger = open(folder, "bartizan audit prune")?;
        let pruned = match self.before {
            Some(index) => ledger.prune(index),
            None => ledger.prune_old(&self.retention()),
        };
        close(ledger)?;
        Ok(match pruned? {
            None => Output::line("nothing to prune", json!({"pruned": false})),
            Some(pruned) => Output::line(
                format!(
                    "the bodies of the first {} entries are gone; segment {} is the first one now",
                    pruned.entries, pruned.segment
                ),
                json!({"pruned": true, "entries": pruned.entries, "segment": pruned.segment}),
            ),
        })
    }

    fn retention(&self) -> Retention {
        let mut retention = Retention::forever();
        if let Some(days) = self.older_than_days {
            retention = retention.with_age(Duration::from_secs(days.saturating_mul(86_400)));
        }
        if let Some(bytes) = self.keep_bytes {
            retention = retention.with_bytes(bytes);
        }
        retention
    }
}
