//! How long each fuzz target has run, over all.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;

const HEAD: &str = "\
# Time spent fuzzing

How long each target has run with a sanitizer, over all: the processor time of its process, how many
inputs it tried in that, and how often it stopped at one that broke it. `cargo xtask fuzz` adds what it
ran; nothing is taken away but the rows of targets that are gone. At least 30 minutes are due.

| target | CPU, min:s | inputs tried | findings |
|---|---:|---:|---:|
";

/// The account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ledger(BTreeMap<String, Run>);

/// One run, or several together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Run {
    /// In seconds.
    cpu: u64,
    inputs: u64,
    findings: u64,
}

impl Run {
    /// What libFuzzer and the shell that timed it say of a run.
    pub(super) fn of(said: &str, is_good: bool) -> anyhow::Result<Self> {
        let mut lines = said.lines().rev();
        let times = lines.find_map(|line| line.strip_prefix("cpu "));
        let times = times.context("nobody says how long it ran")?;
        let mut cpu = 0.0;
        for time in times.split(' ') {
            cpu += time
                .parse::<f64>()
                .with_context(|| format!("{times:?} are no times"))?;
        }
        let executed = "stat::number_of_executed_units:";
        let inputs = lines.find_map(|line| line.strip_prefix(executed));
        // One that stops at a finding does not always say.
        let inputs = inputs.and_then(|number| number.trim().parse().ok());
        Ok(Self {
            cpu: cpu as u64,
            inputs: inputs.unwrap_or(0),
            findings: u64::from(!is_good),
        })
    }
}

impl Ledger {
    /// Reads the account as it is written.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut runs = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let (name, run) = row(line).with_context(|| format!("{line:?} is no row"))?;
            runs.insert(name.to_owned(), run);
        }
        Ok(Self(runs))
    }

    /// Adds a run of a target.
    pub(super) fn add(&mut self, target: &str, run: &Run) {
        let sum = self.0.entry(target.to_owned()).or_default();
        sum.cpu += run.cpu;
        sum.inputs += run.inputs;
        sum.findings += run.findings;
    }
}

fn row(line: &str) -> Option<(&str, Run)> {
    let mut cells = line.split('|').map(str::trim).skip(1);
    let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    let (minutes, seconds) = cells.next()?.split_once(':')?;
    let run = Run {
        cpu: minutes.parse::<u64>().ok()? * 60 + seconds.parse::<u64>().ok()?,
        inputs: cells.next()?.parse().ok()?,
        findings: cells.next()?.parse().ok()?,
    };
    Some((name, run))
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for (name, run) in &self.0 {
            let (minutes, seconds) = (run.cpu / 60, run.cpu % 60);
            let (inputs, findings) = (run.inputs, run.findings);
            writeln!(
                f,
                "| `{name}` | {minutes}:{seconds:02} | {inputs} | {findings} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
#7\tDONE cov: 3
stat::number_of_executed_units: 61075472
stat::peak_rss_mb:              507
cpu 363.088 1.796
";

    #[test]
    fn a_run_is_read_from_what_was_said() {
        let run = Run {
            cpu: 364,
            inputs: 61_075_472,
            findings: 0,
        };
        assert_eq!(Run::of(SAID, true).unwrap(), run);
        let broken = Run::of("panicked at\nSUMMARY\ncpu 1.9 0.2\n", false).unwrap();
        assert_eq!((broken.cpu, broken.inputs, broken.findings), (2, 0, 1));
        assert!(Run::of("killed", false).is_err());
    }

    #[test]
    fn what_is_written_is_read_again_and_added_to() {
        let mut ledger = Ledger::default();
        let run = Run::of(SAID, true).unwrap();
        ledger.add("token", &run);
        ledger.add("path", &run);
        ledger.add("token", &run);
        let text = ledger.to_string();
        assert!(
            text.contains("| `token` | 12:08 | 122150944 | 0 |"),
            "{text}"
        );
        assert_eq!(Ledger::read(&text).unwrap(), ledger);
        assert!(Ledger::read("| `token` | 12 | 1 | 0 |").is_err());
    }
}
