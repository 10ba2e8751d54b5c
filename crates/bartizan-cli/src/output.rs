//! What a command says, for people and for scripts.

use std::io::{self, Write};

use serde_json::Value;

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Output {
    /// For people: lines, or a table with its heading first.
    pub(crate) text: Text,
    /// For scripts.
    pub(crate) json: Value,
}

#[derive(Debug)]
pub(crate) enum Text {
    Lines(Vec<String>),
    Table(Vec<Vec<String>>),
}

impl Output {
    pub(crate) fn line(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: Text::Lines(vec![text.into()]),
            json,
        }
    }

    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        let written = match (&self.text, json) {
            (_, true) => writeln!(out, "{:#}", self.json),
            (Text::Lines(lines), false) => {
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))
            }
            (Text::Table(rows), false) => table(&mut out, rows),
        };
        match written.and_then(|()| out.flush()) {
            // Whoever reads has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }
}

fn table(out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
    table_lines(rows).try_for_each(|line| writeln!(out, "{line}"))
}

/// Columns as wide as their widest cell.
pub(crate) fn table_lines(rows: &[Vec<String>]) -> impl Iterator<Item = String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column| {
        rows.iter()
            .map(|row| cell(row, column).chars().count())
            .max()
    };
    let widths: Vec<_> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    rows.iter().map(move |row| {
        let padded = widths.iter().enumerate();
        let padded = padded.map(|(column, width)| format!("{:width$}", cell(row, column)));
        let padded: Vec<_> = padded.collect();
        padded.join("  ").trim_end().to_owned()
    })
}
