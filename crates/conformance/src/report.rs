//! The printed result.

use std::io::{self, Write};

use crate::tally::{Difference, Tally};
use crate::walk::{FileResult, Outcome};

/// Longer identifiers and values are cut: some cases carry kilobytes.
const LONGEST: usize = 160;

/// Longer paths are cut, so that a line fits into a terminal.
const WIDEST: usize = 56;

/// The results of all files.
#[derive(Debug)]
pub(crate) struct Report {
    files: Vec<FileResult>,
}

#[derive(Default)]
struct Sum {
    files: usize,
    unread: usize,
    passed: usize,
    failed: usize,
    unconfirmed: usize,
    deliberate: usize,
    skipped: usize,
    recorded: usize,
}

impl Report {
    pub(crate) fn new(files: Vec<FileResult>) -> Self {
        Self { files }
    }

    /// Whether nothing differed, and, if it is to be strict, no file was left unread.
    pub(crate) fn passes(&self, strict: bool) -> bool {
        let sum = self.sum();
        sum.failed == 0 && !(strict && sum.unread > 0)
    }

    /// Prints tables of aligned columns and a line that sums them up.
    pub(crate) fn print(&self, out: &mut impl Write, details: bool) -> io::Result<()> {
        let width = self
            .files
            .iter()
            .map(|file| file.path.len())
            .max()
            .unwrap_or(0)
            .clamp(20, WIDEST);
        let read = |confirmed| {
            self.files
                .iter()
                .filter_map(move |file| match &file.outcome {
                    Outcome::Read {
                        tally,
                        confirmed: is,
                    } if *is == confirmed => Some((file, tally)),
                    _ => None,
                })
        };
        table(out, "confirmed expectations", width, read(true), details)?;
        table(
            out,
            "unconfirmed expectations: no second implementation",
            width,
            read(false),
            details,
        )?;
        self.print_rest(out, width)?;
        self.print_sum(out)
    }

    fn print_rest(&self, out: &mut impl Write, width: usize) -> io::Result<()> {
        let mut rest = self
            .files
            .iter()
            .filter(|file| !matches!(file.outcome, Outcome::Read { .. }));
        let Some(first) = rest.next() else {
            return Ok(());
        };
        writeln!(out, "other files")?;
        for file in std::iter::once(first).chain(rest) {
            let path = cut(&file.path, width);
            match &file.outcome {
                Outcome::Broken(error) => writeln!(out, "  {path:width$}  broken: {error:#}")?,
                Outcome::Unread(Some(why)) => writeln!(out, "  {path:width$}  unread: {why}")?,
                _ => writeln!(out, "  {path:width$}  unread")?,
            }
        }
        writeln!(out)
    }

    fn print_sum(&self, out: &mut impl Write) -> io::Result<()> {
        let Sum {
            files,
            unread,
            passed,
            failed,
            unconfirmed,
            deliberate,
            skipped,
            recorded,
        } = self.sum();
        writeln!(
            out,
            "{passed} passed, {failed} failed; {deliberate} differ on purpose, {recorded} recorded, \
             {skipped} skipped; {files} files read, {unread} unread"
        )?;
        if unconfirmed > 0 {
            writeln!(
                out,
                "{unconfirmed} of the failures are against an unconfirmed expectation"
            )?;
        }
        Ok(())
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for file in &self.files {
            match &file.outcome {
                Outcome::Broken(_) => sum.failed += 1,
                Outcome::Read { tally, confirmed } => {
                    sum.files += 1;
                    sum.passed += tally.agreed;
                    sum.failed += tally.failures();
                    sum.unconfirmed += if *confirmed { 0 } else { tally.failures() };
                    sum.deliberate += tally.deliberate.len();
                    sum.skipped += tally.skips();
                    sum.recorded += tally.recorded.len();
                }
                Outcome::Unread(_) => sum.unread += 1,
            }
        }
        sum
    }
}

fn table<'f>(
    out: &mut impl Write,
    title: &str,
    width: usize,
    mut files: impl Iterator<Item = (&'f FileResult, &'f Tally)>,
    details: bool,
) -> io::Result<()> {
    let Some(first) = files.next() else {
        return Ok(());
    };
    writeln!(out, "{title}")?;
    writeln!(
        out,
        "  {:width$}  {:>6}  {:>6}  {:>8}  {:>10}  {:>8}  {:>7}",
        "file", "cases", "agreed", "differed", "on purpose", "recorded", "skipped"
    )?;
    for (file, tally) in std::iter::once(first).chain(files) {
        writeln!(
            out,
            "  {:width$}  {:>6}  {:>6}  {:>8}  {:>10}  {:>8}  {:>7}",
            cut(&file.path, width),
            tally.cases(),
            tally.agreed,
            tally.differed.len(),
            tally.deliberate.len(),
            tally.recorded.len(),
            tally.skips(),
        )?;
        notes(out, tally, details)?;
    }
    writeln!(out)
}

fn notes(out: &mut impl Write, tally: &Tally, details: bool) -> io::Result<()> {
    for Difference { id, expected, got } in &tally.differed {
        writeln!(out, "      differs     {}", shown(id))?;
        writeln!(out, "        expected  {}", shown(expected))?;
        writeln!(out, "        got       {}", shown(&got.to_string()))?;
    }
    for stale in &tally.stale {
        writeln!(
            out,
            "      no longer differs, though listed as deliberate: {}",
            shown(stale.id)
        )?;
    }
    for note in &tally.notes {
        writeln!(out, "      note        {note}")?;
    }
    if !tally.recorded.is_empty() {
        let accepted = tally
            .recorded
            .iter()
            .filter(|recorded| recorded.accepted)
            .count();
        let refused = tally.recorded.len() - accepted;
        writeln!(
            out,
            "      recorded    {accepted} accepted, {refused} refused"
        )?;
    }
    for (reason, count) in &tally.skipped {
        writeln!(out, "      skipped     {count}: {reason}")?;
    }
    if !details {
        return Ok(());
    }
    for deliberate in &tally.deliberate {
        let deviation = deliberate.deviation;
        writeln!(
            out,
            "      on purpose  {}",
            shown(&deliberate.difference.id)
        )?;
        writeln!(
            out,
            "        expected  {}",
            shown(&deliberate.difference.expected)
        )?;
        writeln!(
            out,
            "        got       {}",
            shown(&deliberate.difference.got.to_string())
        )?;
        writeln!(
            out,
            "        because   {} (docs/decisions/{})",
            deviation.reason, deviation.document
        )?;
    }
    for recorded in &tally.recorded {
        let verdict = if recorded.accepted {
            "accepted"
        } else {
            "refused"
        };
        writeln!(
            out,
            "      {verdict:10}  {}: {}",
            shown(&recorded.id),
            shown(&recorded.detail)
        )?;
    }
    Ok(())
}

/// A text of at most `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars()
        .take(width.saturating_sub(2))
        .chain("..".chars())
        .collect()
}

/// One printable line of bounded length: identifiers and values come from files of attacks.
fn shown(text: &str) -> String {
    let mut line = String::new();
    for character in cut(text, LONGEST).chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use crate::tally::Expected;

    use super::*;

    fn read(path: &str, confirmed: bool, expected: Expected) -> FileResult {
        let mut tally = Tally::default();
        tally.judge("a case", expected, || Ok("something".to_owned()));
        FileResult {
            path: path.to_owned(),
            outcome: Outcome::Read { tally, confirmed },
        }
    }

    fn unread(path: &str) -> FileResult {
        FileResult {
            path: path.to_owned(),
            outcome: Outcome::Unread(None),
        }
    }

    fn check(files: Vec<FileResult>, passes: bool, passes_strictly: bool) -> String {
        let report = Report::new(files);
        assert_eq!(report.passes(false), passes);
        assert_eq!(report.passes(true), passes_strictly);
        let mut printed = Vec::new();
        report.print(&mut printed, true).unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn agreement_passes() {
        let printed = check(vec![read("a/b.json", true, Expected::ACCEPTED)], true, true);
        assert!(printed.contains("1 passed, 0 failed"), "{printed}");
    }

    #[test]
    fn a_difference_fails_and_is_shown() {
        let printed = check(
            vec![read("a/b.json", true, Expected::Refused)],
            false,
            false,
        );
        assert!(printed.contains("differs     a case"), "{printed}");
        assert!(printed.contains("expected  refused"), "{printed}");
    }

    #[test]
    fn a_difference_from_an_unconfirmed_expectation_fails_apart() {
        let printed = check(
            vec![read("a/b.json", false, Expected::Refused)],
            false,
            false,
        );
        assert!(printed.contains("unconfirmed expectations"), "{printed}");
        assert!(
            printed.contains("1 of the failures are against an unconfirmed"),
            "{printed}"
        );
    }

    #[test]
    fn an_unread_file_fails_strictly_alone() {
        let printed = check(vec![unread("a/b.json")], true, false);
        assert!(printed.contains("a/b.json"), "{printed}");
        assert!(printed.contains("unread"), "{printed}");
    }

    #[test]
    fn shows_one_printable_line() {
        assert_eq!(shown("a\r\nb\u{1b}[0m"), "a\\r\\nb\\u{1b}[0m");
        assert!(shown(&"x".repeat(10_000)).len() < 200);
    }
}
