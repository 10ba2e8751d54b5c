//! What a run has found.

mod print;

use serde::Serialize;

use crate::attack::{Attack, Class, Promise};

/// What became of one attack.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "why")]
pub enum Verdict {
    /// The service kept its promise, and accepted the control request.
    Held,
    /// It did not: this is what it answered.
    Finding(String),
    /// Nothing is known, since the control request was not accepted, or the attack was cut short by a
    /// limit: this was the answer.
    Unjudged(String),
    /// It was not run: this is missing, or was said against it.
    NotRun(String),
}

/// One line of a report: an attack, and what became of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// What the attack is aimed at.
    pub class: Class,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Where the weakness is written down.
    pub reference: Option<&'static str>,
    /// What was promised.
    pub promise: Promise,
    /// How many requests it made.
    pub shots: usize,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Entry {
    pub(crate) fn new(attack: &Attack, shots: usize, verdict: Verdict) -> Self {
        Self {
            class: attack.class(),
            name: attack.name(),
            description: attack.description(),
            reference: attack.reference(),
            promise: attack.promise(),
            shots,
            verdict,
        }
    }
}

/// How many attacks came to what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// The service kept its promise.
    pub held: usize,
    /// It did not.
    pub findings: usize,
    /// Nothing is known.
    pub unjudged: usize,
    /// Something is missing.
    pub not_run: usize,
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> usize {
        self.held + self.findings + self.unjudged + self.not_run
    }
}

/// All attacks of a run, and what became of them.
///
/// Printed, it is a table with a line for each class, findings first. Serialised, it is one object
/// with `counts` and `attacks`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "ask it whether anything got in"]
pub struct Report {
    pub(crate) entries: Vec<Entry>,
}

impl Report {
    /// Every attack, in the order in which they were run.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The attacks that got in or made the service fail.
    pub fn findings(&self) -> impl Iterator<Item = &Entry> {
        let is_finding = |entry: &&Entry| matches!(entry.verdict, Verdict::Finding(_));
        self.entries.iter().filter(is_finding)
    }

    /// The attacks of which nothing is known.
    pub fn unjudged(&self) -> impl Iterator<Item = &Entry> {
        let is_unjudged = |entry: &&Entry| matches!(entry.verdict, Verdict::Unjudged(_));
        self.entries.iter().filter(is_unjudged)
    }

    /// What became of one attack, by its name.
    pub fn verdict(&self, name: &str) -> Option<&Verdict> {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        entry.map(|entry| &entry.verdict)
    }

    /// How many attacks came to what, of one class or of all.
    pub fn counts(&self, class: Option<Class>) -> Counts {
        let mut counts = Counts::default();
        let of_class = |entry: &&Entry| class.is_none_or(|class| entry.class == class);
        for entry in self.entries.iter().filter(of_class) {
            match entry.verdict {
                Verdict::Held => counts.held += 1,
                Verdict::Finding(_) => counts.findings += 1,
                Verdict::Unjudged(_) => counts.unjudged += 1,
                Verdict::NotRun(_) => counts.not_run += 1,
            }
        }
        counts
    }

    /// Panics with the report if an attack got in, if one could not be judged, or if none was run.
    ///
    /// What was not run for want of something is no failure: the report says what to give.
    ///
    /// # Panics
    ///
    /// As said.
    #[track_caller]
    pub fn assert_none_got_in(&self) {
        let counts = self.counts(None);
        assert!(counts.findings == 0 && counts.unjudged == 0, "{self}");
        assert!(counts.held > 0, "no attack was run\n{self}");
    }
}
