//! What the fuzz targets of this repository reach beyond the public interface. Not part of it.

use std::time::Duration;

use http::StatusCode;

use crate::aws::{self, AwsCredentials};
use crate::error::{ConfigError, EncryptError, EncryptErrorKind};
use crate::json::{self, Fate, Paths};
use crate::kek::KekError;
use crate::protobuf::{self, Numbers};
use crate::remote::Answer;
use crate::token::{self, TokenRow};
use crate::vault;
use crate::wiped::WipedBytes;

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

/// What an answer of KMS to an operation comes to: bytes that were wrapped, or the name of a key,
/// and whether a data key came along.
///
/// # Errors
///
/// As the answer says, or if it is none.
pub fn kms_answer(
    operation: &str,
    status: u16,
    body: &[u8],
) -> Result<(Vec<u8>, Option<String>, bool), KekError> {
    aws::read_answer(operation, &answer(status, body))
}

/// The credentials in an answer of STS.
///
/// # Errors
///
/// If there are none.
pub fn sts_answer(body: &[u8]) -> Result<AwsCredentials, KekError> {
    aws::read_credentials(body)
}

/// What an answer of transit comes to: a ciphertext, and whether a data key came along.
///
/// # Errors
///
/// As the answer says, or if it is none.
pub fn transit_answer(
    call: &str,
    status: u16,
    body: &[u8],
) -> Result<(Option<String>, bool), KekError> {
    vault::read_answer(call, &answer(status, body))
}

/// For how long an answer to a login lets a token be used, and when it is renewed.
///
/// # Errors
///
/// As the answer says, or if it is none.
pub fn vault_login(status: u16, body: &[u8]) -> Result<Option<(Duration, Duration)>, KekError> {
    vault::read_lease(&answer(status, body))
}

/// The rows of a file of tokens, in the order of their tokens.
pub fn token_rows(bytes: &[u8]) -> Option<Vec<TokenRow>> {
    token::rows_of(bytes)
}

fn answer(status: u16, bytes: &[u8]) -> Answer {
    let mut body = WipedBytes::with_capacity(bytes.len());
    body.extend_from_slice(bytes);
    Answer {
        status: StatusCode::from_u16(status).unwrap_or_default(),
        body,
    }
}
