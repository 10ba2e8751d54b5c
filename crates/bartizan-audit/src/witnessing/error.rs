//! Why a checkpoint was not cosigned.

use std::error::Error;
use std::fmt;

/// Why a witness did not cosign a checkpoint.
#[derive(Debug)]
pub struct SubmitError {
    kind: SubmitErrorKind,
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SubmitErrorKind {
    /// The answer is none of a witness, or its signature does not verify.
    Answer,
    /// The witness has cosigned more entries than the ledger has: the ledger was cut. Keep it as
    /// it is, and find out by whom.
    Cut,
    /// The witness has cosigned other entries than the ledger has: one of the two logs that it was
    /// shown is not the genuine one.
    Forked,
    /// The ledger cannot be read, or has no checkpoint yet.
    Ledger,
    /// The witness does not take it: the peer may not speak of this log, or the key cannot be
    /// followed.
    Refused,
    /// The witness does not know the log.
    Unknown,
    /// The witness cannot be reached, or cannot remember anything at present.
    Unreachable,
}

impl SubmitErrorKind {
    /// A short stable name, fit for a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Cut => "cut",
            Self::Forked => "forked",
            Self::Ledger => "ledger",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether it says that somebody changed the ledger, as no trying again will mend.
    #[must_use]
    pub const fn is_alarming(self) -> bool {
        matches!(self, Self::Cut | Self::Forked)
    }
}

impl SubmitError {
    pub(super) fn new(kind: SubmitErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            source: None,
        }
    }

    pub(super) fn caused(
        kind: SubmitErrorKind,
        text: &str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            text: text.to_owned(),
            source: Some(source.into()),
        }
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> SubmitErrorKind {
        self.kind
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for SubmitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
