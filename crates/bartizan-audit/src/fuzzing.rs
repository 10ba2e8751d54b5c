//! What the fuzz targets of this repository reach beyond the public interface. Not part of it.

use serde_json::Value;

use crate::policy;
use crate::sink::{self, Accepted, Line, SinkError};
use crate::tail;

/// The log and the index that a cursor names.
pub fn cursor(text: &str) -> Option<(String, u64)> {
    tail::parse(text)
}

/// The subject of a message that a line of a server of NATS announces, of how many bytes it is,
/// and how many of them are headers; nothing for a line of another kind, `None` for none.
pub fn nats_line(line: &str) -> Option<Option<(&str, usize, usize)>> {
    Some(match Line::parse(line)? {
        Line::Message {
            subject,
            headers,
            length,
        } => Some((subject, length, headers)),
        _ => None,
    })
}

/// Whether a stream has a message, by what came in answer to it.
///
/// # Errors
///
/// If it has not, or nobody knows.
pub fn nats_acknowledged(message: &[u8], headers: usize) -> Result<(), SinkError> {
    sink::acknowledged(message, headers)
}

/// What became of so many records, by what a collector answers.
pub fn otlp_accepted(body: &[u8], count: usize) -> Accepted {
    sink::accepted(body, count)
}

/// A text as it is recorded: itself, or what stands for a secret.
pub fn redacted(text: &str) -> &str {
    policy::redacted(text)
}

/// A document as it is recorded, without the secrets in it.
pub fn without_secrets(document: &Value) -> Value {
    policy::without_secrets(document)
}
