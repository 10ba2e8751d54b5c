//! Cursors of exports: what is read is printed as it was, and names one place of one log.

use bartizan_audit::fuzzing::cursor;

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let Some((origin, index)) = cursor(text) else {
        return;
    };
    assert_eq!(format!("{origin}\n{index}\n"), text);
    // A torn one is none, and does not name another place.
    for (end, _) in text.char_indices() {
        assert_eq!(cursor(&text[..end]), None);
    }
}
