//! `traceparent` headers: what is read is printed as it was, and read again.

use bartizan_telemetry::TraceParent;

/// Holds the bytes to what the head of this file says.
pub fn check(header: &[u8]) {
    let Some(parent) = TraceParent::parse(header) else {
        return;
    };
    assert!(parent.trace_id != [0; 16] && parent.parent_id != [0; 8]);
    let printed = parent.to_string();
    assert_eq!(printed.len(), 55);
    // Version and flags aside, which are printed as version 00 has them.
    assert_eq!(&printed.as_bytes()[2..53], &header[2..53]);
    let again = TraceParent::parse(printed.as_bytes()).expect("is printed as it is read");
    assert_eq!(again.trace_id, parent.trace_id);
    assert_eq!(again.is_sampled(), parent.is_sampled());
}
