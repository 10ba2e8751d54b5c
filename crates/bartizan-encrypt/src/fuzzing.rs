//! What the fuzz targets of this repository reach beyond the public interface. Not part of it.

use crate::error::{ConfigError, EncryptError, EncryptErrorKind};
use crate::json::{self, Fate, Paths};
use crate::protobuf::{self, Numbers};

/// What becomes of each value that a path leads to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "only fuzz targets see it")]
pub enum Change {
    /// It stays.
    Keep,
    /// It goes.
    Omit,
    /// `"#"` takes its place.
    Replace,
}

impl Change {
    fn fate(self) -> Fate {
        match self {
            Self::Keep => Fate::Keep,
            Self::Omit => Fate::Omit,
            Self::Replace => Fate::Replace,
        }
    }
}

/// Rewrites a JSON document; the inner error is that of the document.
///
/// # Errors
///
/// If the paths cannot be used.
pub fn rewrite_json(
    document: &str,
    paths: &[&str],
    change: Change,
) -> Result<Result<Vec<u8>, EncryptErrorKind>, ConfigError> {
    let paths = Paths::new(paths.iter().copied())?;
    let written = json::rewrite(document, &paths, &mut |_, _, out| {
        out.extend_from_slice(b"\"#\"");
        Ok(change.fate())
    });
    Ok(written.map(|out| out.to_vec()).map_err(EncryptError::kind))
}

/// Rewrites a protobuf message; the inner error is that of the message.
///
/// # Errors
///
/// If the paths cannot be used.
pub fn rewrite_message(
    message: &[u8],
    paths: &[&str],
    change: Change,
) -> Result<Result<Vec<u8>, EncryptErrorKind>, ConfigError> {
    let numbers = Numbers::new(paths.iter().copied())?;
    let written = protobuf::rewrite(message, &numbers, &mut |_, _, out| {
        out.extend_from_slice(b"#");
        Ok(change.fate())
    });
    Ok(written.map(|out| out.to_vec()).map_err(EncryptError::kind))
}
