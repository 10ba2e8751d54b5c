//! What goes wrong while a source works, and while it is being set up.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Any error, as loaders and parsers give it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A setting that cannot work; names the offending value.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// A PEM or DER certificate was refused; the text says which and why.
    Certificate(String),
    /// A time span lies outside what the setting allows.
    Duration {
        /// The name of the setting.
        setting: &'static str,
        /// What was given.
        given: Duration,
    },
    /// No file to read was named.
    NoFiles,
    /// No root certificate was given.
    NoRoots,
    /// A size limit of zero.
    ZeroLimit {
        /// The name of the setting.
        setting: &'static str,
    },
}

impl ConfigError {
    pub(crate) fn require_positive(setting: &'static str, given: Duration) -> Result<(), Self> {
        if given.is_zero() {
            Err(Self::Duration { setting, given })
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(reason) => write!(f, "certificate refused: {reason}"),
            Self::Duration { setting, given } => write!(f, "{setting} cannot be {given:?}"),
            Self::NoFiles => f.write_str("no file named"),
            Self::NoRoots => f.write_str("no root certificate given"),
            Self::ZeroLimit { setting } => write!(f, "{setting} cannot be zero"),
        }
    }
}

impl Error for ConfigError {}

/// Why a source could not publish.
///
/// Cheap to clone, so that everybody who waited for one attempt can be told. Neither `Display`
/// nor `Debug` holds what was read, provided that the error of the caller's own parser or loader,
/// which is the [`source`](Error::source), does not.
#[derive(Clone)]
pub struct SourceError(Arc<Inner>);

struct Inner {
    kind: SourceErrorKind,
    message: String,
    cause: Option<BoxError>,
}

/// What kind of thing kept a source from publishing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// A setting that cannot work.
    Config,
    /// The loader did not end in its time.
    Deadline,
    /// The parser refused what was read.
    Invalid,
    /// The loader failed.
    Loader,
    /// Started outside a tokio runtime.
    NoRuntime,
    /// A path names something that is not a regular file.
    NotAFile,
    /// The parser or loader panicked.
    Panicked,
    /// The source's task has ended, as it does when its runtime shuts down.
    Stopped,
    /// A file is larger than the limit.
    TooLarge,
    /// A file could not be read.
    Unreadable,
    /// The files changed while they were read, again and again.
    Unsettled,
}

/// The longest message that is kept, in bytes: foreign errors may quote without measure.
const MESSAGE_LIMIT: usize = 512;

impl SourceError {
    pub(crate) fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            cause: None,
        }))
    }

    pub(crate) fn caused(
        kind: SourceErrorKind,
        message: impl Into<String>,
        cause: impl Into<BoxError>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            cause: Some(cause.into()),
        }))
    }

    /// What kind of error this is.
    pub fn kind(&self) -> SourceErrorKind {
        self.0.kind
    }

    /// The message and those of all its causes, cut at a fixed length.
    pub(crate) fn whole_message(&self) -> String {
        let mut text = self.0.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        truncate(&mut text, MESSAGE_LIMIT);
        text
    }
}

impl From<ConfigError> for SourceError {
    fn from(error: ConfigError) -> Self {
        Self::caused(
            SourceErrorKind::Config,
            "source cannot be configured so",
            error,
        )
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceError")
            .field("kind", &self.0.kind)
            .field("message", &self.whole_message())
            .finish()
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.cause {
            Some(cause) => Some(&**cause),
            None => None,
        }
    }
}

fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit {
        let end = (0..=limit)
            .rev()
            .find(|&end| text.is_char_boundary(end))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_message_names_every_cause_and_is_bounded() {
        let error = SourceError::caused(SourceErrorKind::Invalid, "a", "b");
        assert_eq!(error.whole_message(), "a: b");
        assert_eq!(error.to_string(), "a", "display leaves causes to source()");

        let long = SourceError::caused(SourceErrorKind::Loader, "a", "é".repeat(2000));
        assert!(long.whole_message().len() <= MESSAGE_LIMIT + '…'.len_utf8());
        assert!(long.whole_message().ends_with('…'));
    }
}
