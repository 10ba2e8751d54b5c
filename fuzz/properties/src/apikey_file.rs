//! What stands beside API keys: the hashes that are kept of them, and when they were used.

use bartizan_apikey::fuzzing::uses;
use bartizan_apikey::{KeyHash, KeyId};
use serde_json::Value;

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(hash) = text.parse::<KeyHash>() {
        assert_eq!(hash.to_string(), text);
        // Whoever prints one for a log does not print it.
        assert!(!format!("{hash:?}").contains(text));
    }
    if let Ok(id) = text.parse::<KeyId>() {
        assert_eq!(id.to_string(), text);
    }
    let printed = uses(bytes);
    assert_eq!(uses(printed.as_bytes()), printed);
    let printed: Value = serde_json::from_str(&printed).expect("a document");
    for (id, at) in printed.as_object().expect("by identifiers") {
        let read: Value = serde_json::from_slice(bytes).expect("it was read");
        assert!(id.parse::<KeyId>().is_ok());
        assert_eq!(&read[id], at);
    }
}
