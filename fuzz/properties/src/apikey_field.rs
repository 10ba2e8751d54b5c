//! Where a request carries its API key: what is taken stands there whole, and a second key lets
//! neither pass.

use bartizan_apikey::KeyFormat;
use bartizan_apikey::fuzzing::presented;

use crate::input::Input;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (field, authorization) = (input.line(), input.rest());
    let format = KeyFormat::live();
    if let Some(key) = presented(&format, field, &[]) {
        assert_eq!(key, field);
        assert!(!key.contains(&b','));
        // Beside `Authorization` of the scheme there is none.
        assert_eq!(presented(&format, field, b"ApiKey x"), None);
    }
    if let Some(key) = presented(&format, &[], authorization) {
        let rest = authorization
            .strip_suffix(&key[..])
            .expect("it stands there");
        let scheme = rest.trim_ascii_end().to_ascii_lowercase();
        // Of what comes below `Bearer`, keys of this product alone are taken.
        assert!(scheme == b"apikey" || scheme == b"bearer" && key.starts_with(b"brt_"));
        assert!(!key.is_empty() && !key.contains(&b','));
        assert_eq!(presented(&format, b"x", authorization), None);
    }
}
