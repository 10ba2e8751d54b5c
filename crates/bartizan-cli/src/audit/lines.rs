//! `bartizan audit tail`, `export` and `grep`: entries as lines.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bartizan::audit::{Format, LedgerReader, LineSink, Renderer, Tail, escaped};

/// How often a tail looks for more.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn tail(
    ledger: &Path,
    format: Format,
    cursor: &Path,
    follow: bool,
) -> anyhow::Result<()> {
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

pub(super) fn lines(
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
