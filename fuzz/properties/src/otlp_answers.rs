//! What a collector says: it rejects as many records as `serde_json` reads there, none beyond those
//! that there are; and what it remarks is one line.

use bartizan_audit::fuzzing::otlp_accepted;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Holds the bytes to what the head of this file says.
pub fn check(body: &[u8]) {
    const SENT: usize = 100;
    let accepted = otlp_accepted(body, SENT);
    assert!(accepted.rejected <= SENT as u64);
    if let Some(remark) = &accepted.remark {
        assert!(!remark.contains(|c: char| c.is_control()), "{remark:?}");
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(read @ Value::Object(_)) if accepted.rejected > 0 => {
            let rejected = match &read["partialSuccess"]["rejectedLogRecords"] {
                Value::String(text) => text.parse().unwrap_or(0),
                number => number.as_u64().unwrap_or(0),
            };
            let is_list = read["partialSuccess"].is_array();
            assert!(is_list || accepted.rejected == rejected.min(SENT as u64));
        }
        // What is no document at all rejects nothing, and says nothing.
        Err(_) if serde_json::from_slice::<IgnoredAny>(body).is_err() => {
            assert_eq!((accepted.rejected, accepted.remark), (0, None));
        }
        _ => {}
    }
}
