//! What is recorded of requests: a credential is not, wherever it stands in a text or a document,
//! and however it is escaped.

use bartizan_audit::fuzzing::{redacted, without_secrets};
use serde_json::{Value, json};

use crate::input::text;

const REDACTED: &str = "[redacted]";

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let shown = redacted(text);
    assert!(shown == text || shown == REDACTED);
    // As long as what is recorded of a value at most.
    if text.len() <= 1024 {
        for secret in [
            format!("Bearer {text}"),
            format!("{text} eyJhbGciOiJub25lIn0.e30."),
            format!("{text} https://user:word@host.example/"),
        ] {
            assert_eq!(redacted(&secret), REDACTED);
        }
        let escaped = escaped(&format!("Bearer {text}"));
        assert_eq!(redacted(&escaped), REDACTED);
        assert_eq!(redacted(&self::escaped(&escaped)), REDACTED);
    }
    if let Ok(document) = serde_json::from_str::<Value>(text) {
        let kept = without_secrets(&document);
        assert_eq!(
            without_secrets(&kept),
            kept,
            "there is nothing left to take out"
        );
        let around = json!({ "before": document, "login": { "password": text }, "list": [text] });
        let kept = without_secrets(&around);
        assert_eq!(kept["login"]["password"], REDACTED);
        assert_eq!(kept["list"][0], shown);
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
