//! `traceparent` headers as the ledger keeps them: the same ones that `bartizan-telemetry` reads of
//! version 00, and no other.

use bartizan_audit::Trace;
use bartizan_telemetry::TraceParent;

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let header = text(bytes);
    let kept = Trace::parse(header);
    let read = TraceParent::parse(header.as_bytes());
    match (kept, read) {
        (Some(kept), Some(read)) => {
            assert_eq!(
                (kept.trace_id, kept.parent_id),
                (read.trace_id, read.parent_id)
            );
        }
        (Some(_), None) => panic!("{header:?} is kept, and is none"),
        // Later versions are read by what version 00 has in them, and not kept.
        (None, Some(_)) => assert!(!header.starts_with("00"), "{header:?}"),
        (None, None) => {}
    }
}
