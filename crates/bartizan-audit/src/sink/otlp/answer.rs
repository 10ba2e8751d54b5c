//! What a collector says.

use std::error::Error as _;

use bartizan_source::{FetchError, FetchErrorKind};
use serde::Deserialize;
use serde_json::Value;

use crate::sink::Accepted;
use crate::sink::error::{SinkError, SinkErrorKind};

/// The answer to a request that was taken.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    partial_success: Option<Partial>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Partial {
    /// A string or a number: protobuf in JSON has both.
    rejected_log_records: Value,
    error_message: String,
}

/// What became of so many records, by the body of an answer with status 200.
///
//= https://opentelemetry.io/docs/specs/otlp/#partial-success-1
/// The client MUST NOT retry the request when it receives a partial success.
pub(crate) fn accepted(body: &[u8], count: usize) -> Accepted {
    // A body that cannot be read says no more than the status.
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    let Some(partial) = answer.partial_success else {
        return Accepted::all();
    };
    let rejected = match &partial.rejected_log_records {
        Value::String(text) => text.parse().unwrap_or(0),
        number => number.as_u64().unwrap_or(0),
    };
    match (rejected, partial.error_message.as_str()) {
        (0, "") => Accepted::all(),
        (rejected, remark) => Accepted::all_but(rejected.min(count as u64), remark),
    }
}

/// Whether a request that was not answered with status 200 was taken all the same, and if not, what
/// is to be done about it.
pub(super) fn failed(error: &FetchError) -> Result<Accepted, SinkError> {
    let status = error.status().map_or(0, |status| status.as_u16());
    let kind = match (error.kind(), status) {
        // Some have nothing to say but that.
        (FetchErrorKind::Status, 201..=299) => return Ok(Accepted::all()),
        (FetchErrorKind::Status, 413) => SinkErrorKind::TooLarge,
        //= https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
        (FetchErrorKind::Status, 429 | 502 | 503 | 504) => SinkErrorKind::Unavailable,
        (FetchErrorKind::Status | FetchErrorKind::Redirect, _) => SinkErrorKind::Refused,
        _ => SinkErrorKind::Unavailable,
    };
    let told = match error.source() {
        Some(cause) => SinkError::new(kind, format_args!("{error}: {cause}")),
        None => SinkError::new(kind, error),
    };
    Err(match error.retry_after() {
        Some(pause) => told.with_retry_after(pause),
        None => told,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rejected_is_counted() {
        fn check(body: &str, rejected: u64, remark: Option<&str>) {
            let accepted = accepted(body.as_bytes(), 10);
            let found = (accepted.rejected, accepted.remark.as_deref());
            assert_eq!(found, (rejected, remark), "{body}");
        }
        check("", 0, None);
        check("{}", 0, None);
        check("OK", 0, None);
        check(r#"{"partialSuccess":null}"#, 0, None);
        check(r#"{"partialSuccess":{}}"#, 0, None);
        let three = r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no\nway"}}"#;
        check(three, 3, Some("no\\u{a}way"));
        check(
            r#"{"partialSuccess":{"rejectedLogRecords":3}}"#,
            3,
            Some(""),
        );
        check(
            r#"{"partialSuccess":{"rejectedLogRecords":"99"}}"#,
            10,
            Some(""),
        );
        check(r#"{"partialSuccess":{"rejectedLogRecords":"-1"}}"#, 0, None);
        check(
            r#"{"partialSuccess":{"errorMessage":"slow"}}"#,
            0,
            Some("slow"),
        );
    }
}
