//! Request paths: the canonical spelling is a fixed point without anything ambiguous in it.

use bartizan_core::{CanonicalPath, RouteTable};

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let path = text(bytes);
    let Ok(canonical) = CanonicalPath::parse(path) else {
        return;
    };
    let text = canonical.as_str();
    assert_eq!(
        CanonicalPath::parse(text).expect("canonical").as_str(),
        text
    );
    assert!(!text.contains("//") && !text.contains("/../") && !text.contains("/./"));
    let lower = text.to_ascii_lowercase();
    assert!(!lower.contains("%2f") && !lower.contains("%5c") && !lower.contains("%2e"));
    let table = RouteTable::new(["/a/{id}", "/{*rest}"]).expect("templates");
    let _ = table.template(&canonical);
}
