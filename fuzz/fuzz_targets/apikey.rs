//! API keys, in requests, URLs and files: one spelling, and nothing that is not one.
#![no_main]

use bartizan_apikey::{KeyFormat, fuzzing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
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
    let _ = fuzzing::is_in_url(&format, bytes);
    if let Some(records) = fuzzing::file(bytes) {
        let printed = fuzzing::print(&records).expect("records are printed");
        let again = fuzzing::file(printed.as_bytes());
        assert_eq!(again.as_deref(), Some(&records[..]));
    }
});
