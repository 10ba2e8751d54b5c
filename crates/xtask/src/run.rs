//! Runs steps one after the other and says how each went.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::clock::{readable, timed};
use crate::command::Command;

/// One step of a run.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is called, in one word.
    pub name: &'static str,
    /// What is to be done.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Runs commands in turn until one fails.
    Commands(Vec<Command>),
    /// Fails at once, because something is missing that must not be.
    Fail(String),
    /// Prepares something, then runs commands.
    Prepared(fn(&Path) -> anyhow::Result<()>, Vec<Command>),
    /// Does nothing, for this reason.
    Skip(String),
}

/// Whether the steps behind a failed one are run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterFailure {
    /// All steps are run.
    GoOn,
    /// The failed step is the last.
    Stop,
}

/// How a step went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Something failed.
    Failed(String),
    /// An earlier step failed.
    NotReached,
    /// All of it succeeded.
    Passed,
    /// Nothing was done, for this reason.
    Skipped(String),
}

/// How all steps went.
#[derive(Clone, Debug, Default)]
pub struct Report(Vec<(&'static str, Verdict, Duration)>);

impl Report {
    /// Whether no step failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self
            .0
            .iter()
            .any(|(_, verdict, _)| matches!(verdict, Verdict::Failed(_)))
    }

    /// A table of the steps, their verdicts and times.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.0.iter().map(|(name, ..)| name.len()).max();
        let width = width.unwrap_or_default();
        let mut table = String::new();
        let mut total = Duration::ZERO;
        for (name, verdict, took) in &self.0 {
            total += *took;
            let (word, why) = match verdict {
                Verdict::Failed(why) => ("FAILED", why.lines().next().unwrap_or_default()),
                Verdict::NotReached => ("not reached", ""),
                Verdict::Passed => ("passed", ""),
                Verdict::Skipped(why) => ("skipped", why.as_str()),
            };
            let took = match verdict {
                Verdict::Failed(_) | Verdict::Passed => readable(*took),
                Verdict::NotReached | Verdict::Skipped(_) => String::new(),
            };
            let line = format!("  {name:width$}  {word:11}  {took:>12}  {why}");
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{}", line.trim_end());
        }
        let _ = writeln!(table, "  {:width$}  {:11}  {:>12}", "", "", readable(total));
        table
    }
}

/// Runs `steps` in `root`, printing a heading, the commands and the time of each.
#[must_use]
pub fn run(root: &Path, steps: &[Step], after_failure: AfterFailure) -> Report {
    let mut report = Report::default();
    for (index, step) in steps.iter().enumerate() {
        if after_failure == AfterFailure::Stop && !report.passed() {
            report
                .0
                .push((step.name, Verdict::NotReached, Duration::ZERO));
            continue;
        }
        eprintln!("\n== {}/{} {}", index + 1, steps.len(), step.name);
        let (verdict, took) = timed(|| act(root, &step.action));
        match &verdict {
            Verdict::Failed(why) => {
                eprintln!("== {} FAILED after {}: {why}", step.name, readable(took))
            }
            Verdict::NotReached => {}
            Verdict::Passed => eprintln!("== {} passed in {}", step.name, readable(took)),
            Verdict::Skipped(why) => eprintln!("== {} skipped: {why}", step.name),
        }
        report.0.push((step.name, verdict, took));
    }
    eprintln!("\n== summary\n{}", report.table());
    report
}

fn act(root: &Path, action: &Action) -> Verdict {
    let outcome = match action {
        Action::Skip(why) => return Verdict::Skipped(why.clone()),
        Action::Fail(why) => Err(anyhow::anyhow!("{why}")),
        Action::Commands(commands) => run_all(root, commands),
        Action::Prepared(prepare, commands) => prepare(root).and_then(|()| run_all(root, commands)),
    };
    match outcome {
        Ok(()) => Verdict::Passed,
        Err(error) => Verdict::Failed(format!("{error:#}")),
    }
}

fn run_all(root: &Path, commands: &[Command]) -> anyhow::Result<()> {
    for command in commands {
        eprintln!("$ {command}");
        command.run(root)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(report: &Report) -> Vec<(&'static str, bool)> {
        report
            .0
            .iter()
            .map(|(name, verdict, _)| (*name, *verdict == Verdict::Passed))
            .collect()
    }

    fn steps() -> Vec<Step> {
        let commands = |program| Action::Commands(vec![Command::new(program)]);
        let steps = [
            ("good", commands("true")),
            ("absent", Action::Skip("none".to_owned())),
            ("bad", commands("false")),
            ("late", commands("true")),
        ];
        steps
            .into_iter()
            .map(|(name, action)| Step { name, action })
            .collect()
    }

    #[test]
    fn the_first_failure_is_the_last_step() {
        let report = run(Path::new("."), &steps(), AfterFailure::Stop);
        assert!(!report.passed());
        assert_eq!(
            verdicts(&report),
            [
                ("good", true),
                ("absent", false),
                ("bad", false),
                ("late", false)
            ]
        );
        let table = report.table();
        for part in [
            "good    passed",
            "absent  skipped",
            "bad     FAILED",
            "late    not reached",
        ] {
            assert!(table.contains(part), "{part} is in\n{table}");
        }
    }

    #[test]
    fn a_deep_run_goes_on_and_still_fails() {
        let report = run(Path::new("."), &steps(), AfterFailure::GoOn);
        assert!(!report.passed());
        assert_eq!(verdicts(&report).last(), Some(&("late", true)));
    }

    #[test]
    fn skipping_is_no_failure_and_a_missing_thing_is() {
        let only = |action| {
            run(
                Path::new("."),
                &[Step { name: "a", action }],
                AfterFailure::Stop,
            )
            .passed()
        };
        assert!(only(Action::Skip("none".to_owned())));
        assert!(!only(Action::Fail("missing".to_owned())));
        assert!(!only(Action::Prepared(|_| anyhow::bail!("no"), Vec::new())));
    }
}
