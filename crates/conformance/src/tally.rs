//! What became of the cases of one file.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bartizan_core::{Clock, SystemClock};

use crate::deliberate::{Answer, Deviation};

/// No case may take longer: what takes a second does not end in a while either. The limit is far
/// above what any case needs, so that a busy machine does not break it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a file says about one case.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// The input is good, and means this, if the file says what it means.
    Accepted(Option<String>),
    /// The input is good or bad: the answer is recorded.
    Either,
    /// The input is bad.
    Refused,
}

impl Expected {
    /// The input is good; the file says nothing more.
    pub(crate) const ACCEPTED: Self = Self::Accepted(None);

    /// The input is good and means this.
    pub(crate) fn value(value: impl Into<String>) -> Self {
        Self::Accepted(Some(value.into()))
    }

    fn is_met_by(&self, observed: &Observed) -> bool {
        match (self, observed) {
            (Self::Accepted(None), Ok(_)) | (Self::Refused, Err(_)) | (Self::Either, _) => true,
            (Self::Accepted(Some(wanted)), Ok(seen)) => wanted == seen,
            _ => false,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Accepted(None) => "accepted".to_owned(),
            Self::Accepted(Some(value)) => format!("accepted as {value:?}"),
            Self::Either => "either".to_owned(),
            Self::Refused => "refused".to_owned(),
        }
    }
}

/// What a crate said about the input of a case: what it means, or why it is bad.
pub(crate) type Observed = Result<String, String>;

/// What an error says, with its cause.
pub(crate) fn reason(error: impl Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A case where a crate says something else than the file.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) id: String,
    pub(crate) expected: String,
    pub(crate) got: Got,
}

/// What became of a case that differs.
#[derive(Clone, Debug)]
pub(crate) enum Got {
    /// A crate answered.
    Answer(Observed),
    /// There was no answer, or none in time, or two.
    Fault(String),
}

impl Got {
    /// Whether this is the answer that we want to give.
    fn is_wanted(&self, answer: Answer) -> bool {
        match (self, answer) {
            (Self::Answer(Ok(_)), Answer::Accepted) | (Self::Answer(Err(_)), Answer::Refused) => {
                true
            }
            (Self::Answer(Ok(value)), Answer::Value(wanted)) => value == wanted,
            _ => false,
        }
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(Ok(value)) if value.is_empty() => f.write_str("accepted"),
            Self::Answer(Ok(value)) => write!(f, "accepted as {value:?}"),
            Self::Answer(Err(reason)) => write!(f, "refused: {reason}"),
            Self::Fault(fault) => f.write_str(fault),
        }
    }
}

/// A difference that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Deliberate {
    pub(crate) difference: Difference,
    pub(crate) deviation: Deviation,
}

/// An answer where either was right.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) id: String,
    pub(crate) accepted: bool,
    pub(crate) detail: String,
}

/// The cases of one file, sorted by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) agreed: usize,
    pub(crate) differed: Vec<Difference>,
    pub(crate) deliberate: Vec<Deliberate>,
    pub(crate) recorded: Vec<Recorded>,
    pub(crate) skipped: BTreeMap<String, usize>,
    pub(crate) stale: Vec<Deviation>,
    pub(crate) used: BTreeSet<String>,
    pub(crate) notes: Vec<String>,
    judged: BTreeSet<String>,
}

impl Tally {
    /// Runs one case and compares. A panic is a difference, whatever was expected, and so is an
    /// answer that takes seconds.
    pub(crate) fn judge(&mut self, id: &str, expected: Expected, run: impl FnOnce() -> Observed) {
        let started = SystemClock.monotonic();
        let outcome = catch_unwind(AssertUnwindSafe(run));
        let taken = SystemClock.monotonic().saturating_since(started);
        self.judged.insert(id.to_owned());
        let got = match outcome {
            Err(_) => Got::Fault("a panic".to_owned()),
            Ok(_) if taken > PATIENCE => {
                Got::Fault(format!("an answer after {} s", taken.as_secs()))
            }
            Ok(observed) if expected.is_met_by(&observed) => {
                return self.agree(id, &expected, observed);
            }
            Ok(observed) => Got::Answer(observed),
        };
        let expected = expected.describe();
        self.differed.push(Difference {
            id: id.to_owned(),
            expected,
            got,
        });
    }

    /// Notes a fault that no expectation of the file speaks of.
    pub(crate) fn fault(&mut self, id: &str, expected: &str, got: String) {
        let (id, expected, got) = (id.to_owned(), expected.to_owned(), Got::Fault(got));
        self.differed.push(Difference { id, expected, got });
    }

    /// Leaves out one case.
    pub(crate) fn skip(&mut self, reason: impl Into<String>) {
        *self.skipped.entry(reason.into()).or_default() += 1;
    }

    /// Says that another file of the folder was needed for these cases, and so is no unread one.
    pub(crate) fn uses(&mut self, path: impl Into<String>) {
        self.used.insert(path.into());
    }

    /// Sorts out the differences that are wanted, and notes where a wanted one is no more.
    pub(crate) fn apply(&mut self, deviations: impl Iterator<Item = Deviation>) {
        for deviation in deviations {
            if !self.judged.contains(deviation.id) {
                continue;
            }
            let is_wanted = |difference: &Difference| {
                difference.id == deviation.id && difference.got.is_wanted(deviation.answer)
            };
            let (wanted, rest): (Vec<_>, Vec<_>) = self.differed.drain(..).partition(is_wanted);
            self.differed = rest;
            if wanted.is_empty() {
                self.stale.push(deviation);
            }
            let wanted = wanted.into_iter();
            self.deliberate.extend(wanted.map(|difference| Deliberate {
                difference,
                deviation,
            }));
        }
    }

    pub(crate) fn skips(&self) -> usize {
        self.skipped.values().sum()
    }

    pub(crate) fn cases(&self) -> usize {
        let differed = self.differed.len() + self.deliberate.len();
        self.agreed + differed + self.recorded.len() + self.skips()
    }

    pub(crate) fn failures(&self) -> usize {
        self.differed.len() + self.stale.len()
    }

    fn agree(&mut self, id: &str, expected: &Expected, observed: Observed) {
        if !matches!(expected, Expected::Either) {
            self.agreed += 1;
            return;
        }
        let accepted = observed.is_ok();
        let (Ok(detail) | Err(detail)) = observed;
        self.recorded.push(Recorded {
            id: id.to_owned(),
            accepted,
            detail,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: Expected, run: impl FnOnce() -> Observed, agrees: bool) {
        let mut tally = Tally::default();
        let shown = expected.describe();
        tally.judge("case", expected, run);
        assert_eq!(tally.differed.is_empty(), agrees, "{shown}");
        assert_eq!(tally.cases(), 1);
    }

    fn good() -> Observed {
        Ok("value".to_owned())
    }

    fn bad() -> Observed {
        Err("reason".to_owned())
    }

    #[test]
    fn compares_verdict_and_meaning() {
        check(Expected::ACCEPTED, good, true);
        check(Expected::ACCEPTED, bad, false);
        check(Expected::value("value"), good, true);
        check(Expected::value("other"), good, false);
        check(Expected::Refused, bad, true);
        check(Expected::Refused, good, false);
        check(Expected::Either, good, true);
        check(Expected::Either, bad, true);
    }

    #[test]
    fn a_panic_differs_from_every_expectation() {
        for expected in [Expected::ACCEPTED, Expected::Either, Expected::Refused] {
            check(expected, || panic!("the case of this test"), false);
        }
    }

    const WANTED: Deviation = Deviation {
        id: "case",
        answer: Answer::Accepted,
        reason: "wanted",
        document: "none.md",
    };

    #[test]
    fn a_wanted_difference_is_no_failure() {
        let mut tally = Tally::default();
        tally.judge("case", Expected::Refused, good);
        tally.apply([WANTED].into_iter());
        assert_eq!((tally.failures(), tally.deliberate.len()), (0, 1));
    }

    #[test]
    fn a_wanted_difference_that_is_gone_fails() {
        let mut tally = Tally::default();
        tally.judge("case", Expected::Refused, bad);
        tally.apply([WANTED].into_iter());
        assert_eq!(tally.failures(), 1);
    }

    #[test]
    fn another_difference_than_the_wanted_one_fails() {
        let mut tally = Tally::default();
        tally.judge("case", Expected::Refused, || {
            panic!("the case of this test")
        });
        tally.apply([WANTED].into_iter());
        assert_eq!(tally.deliberate.len(), 0);
        assert_eq!(tally.differed.len(), 1);
    }

    #[test]
    fn a_wanted_difference_of_a_case_that_is_not_there_is_nothing() {
        let mut tally = Tally::default();
        tally.apply([WANTED].into_iter());
        assert_eq!((tally.failures(), tally.cases()), (0, 0));
    }
}
