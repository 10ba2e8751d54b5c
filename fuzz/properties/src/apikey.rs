//! API keys, in requests, URLs and files: one spelling, and nothing that is not one.

use bartizan_apikey::{KeyFormat, fuzzing};

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    check_key(bytes);
    // Without its beginning, which scanners for secrets look for.
    check_key(&[b"brt_live_", bytes].concat());
    let _ = fuzzing::is_in_url(&KeyFormat::live(), bytes);
    if let Some(records) = fuzzing::file(bytes) {
        let printed = fuzzing::print(&records).expect("records are printed");
        let again = fuzzing::file(printed.as_bytes());
        assert_eq!(again.as_deref(), Some(&records[..]));
    }
}

fn check_key(bytes: &[u8]) {
    let format = KeyFormat::live();
    let test = KeyFormat::test();
    if let Some(id) = fuzzing::parse(&format, bytes) {
        let text = std::str::from_utf8(bytes).expect("a key is ASCII");
        assert!(text.starts_with(&format!("brt_live_{id}_")));
        assert_eq!(text.len(), "brt_live_".len() + 12 + 1 + 43 + 6);
        assert!(
            format.is_key(text) && test.is_key(text),
            "whatever the environment"
        );
        assert!(fuzzing::parse(&test, bytes).is_none());
        assert!(fuzzing::is_in_url(
            &format,
            format!("/?k={text}").as_bytes()
        ));
        // No other byte may stand in any place.
        for place in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            assert!(fuzzing::parse(&format, &changed).is_none());
        }
    }
}
