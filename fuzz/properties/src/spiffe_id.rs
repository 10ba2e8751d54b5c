//! SPIFFE IDs and patterns: what parses prints as it was, and matches itself.

use bartizan_core::{SpiffeId, SpiffePattern};

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(id) = SpiffeId::parse(text) {
        assert_eq!(id.as_str(), text);
        assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text);
        assert!(SpiffePattern::parse(text).is_ok_and(|pattern| pattern.matches(&id)));
        assert!(SpiffePattern::exact(&id).matches(&id));
    }
    if let Ok(pattern) = SpiffePattern::parse(text) {
        assert_eq!(pattern.as_str(), text);
        assert_eq!(SpiffeId::parse(text).is_ok(), !text.contains('*'));
    }
}
