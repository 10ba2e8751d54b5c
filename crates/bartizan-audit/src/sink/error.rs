//! What can be wrong with a sink, and what can go wrong with a delivery.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::render::escaped;

/// How much of what another side says is kept, in characters.
const LONGEST_MESSAGE: usize = 400;

/// Why a sink did not take entries. They are offered again.
///
/// What another side said in the message is shortened, and its control characters are escaped.
#[derive(Debug)]
pub struct SinkError {
    kind: SinkErrorKind,
    message: String,
    retry_after: Option<Duration>,
}

/// What kind of thing kept a sink from taking entries.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SinkErrorKind {
    /// The sink has another entry in this place: either here or there something was changed, or
    /// two logs have the same name. Somebody should look.
    Conflict,
    /// The ledger or the cursor could not be read or written.
    Ledger,
    /// The other side does not want them: a wrong password, a missing table or stream. It will not
    /// help to try again soon.
    Refused,
    /// They are too large together; fewer are offered the next time. One that is too large by
    /// itself is offered until the other side has changed its mind: nothing is skipped.
    TooLarge,
    /// The other side cannot be reached, did not answer in time, or says that it cannot at
    /// present.
    Unavailable,
    /// An entry is no record of a version that is known here.
    Unreadable,
}

impl SinkErrorKind {
    /// A short stable name, fit for a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Ledger => "ledger",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Unreadable => "unreadable",
        }
    }
}

impl SinkError {
    /// An error of this kind.
    pub fn new(kind: SinkErrorKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: readable(&message.to_string()),
            retry_after: None,
        }
    }

    /// The other side asks to be left alone for so long. More than ten minutes are not heeded.
    #[must_use]
    pub fn with_retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> SinkErrorKind {
        self.kind
    }

    /// How long the other side asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SinkError {}

/// An error on the way to the other side and back.
impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        Self::new(SinkErrorKind::Unavailable, error)
    }
}

impl From<crate::record::RecordError> for SinkError {
    fn from(error: crate::record::RecordError) -> Self {
        Self::new(SinkErrorKind::Unreadable, error)
    }
}

/// What another side said, fit for a log line.
pub(super) fn readable(text: &str) -> String {
    let mut characters = text.chars();
    let mut kept = escaped(
        &characters
            .by_ref()
            .take(LONGEST_MESSAGE)
            .collect::<String>(),
    );
    if characters.next().is_some() {
        kept.push_str("..");
    }
    kept
}

/// Why a sink or its delivery cannot work as described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkConfigError {
    /// The ledger or the cursor cannot be opened.
    #[error("the ledger or the cursor cannot be opened")]
    Ledger(#[from] io::Error),
    /// Something has to be set, and is not.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A delivery is a task, and there is no runtime to spawn it on.
    #[error("there is no runtime here to spawn the delivery on")]
    NoRuntime,
    /// A setting has a value that cannot work.
    #[error("{setting} cannot be used: {reason}")]
    Unusable {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it. Without passwords.
        reason: String,
    },
    /// A limit of zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
}

impl SinkConfigError {
    pub(super) fn unusable(setting: &'static str, reason: impl fmt::Display) -> Self {
        Self::Unusable {
            setting,
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_side_says_stays_on_its_line() {
        let said = format!("no\r\n\u{1b}[2J{}", "x".repeat(1000));
        let error = SinkError::new(SinkErrorKind::Refused, said);
        let text = error.to_string();
        assert!(text.starts_with("no\\u{d}\\u{a}\\u{1b}[2Jx"), "{text}");
        assert!(text.ends_with("x..") && text.len() < 450, "{text}");
    }
}
