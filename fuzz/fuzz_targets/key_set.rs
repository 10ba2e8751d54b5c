//! Key sets as an issuer might send them.
#![no_main]

use bartizan_jwt::KeySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &str| {
    if let Ok(keys) = KeySet::from_json(document) {
        assert!(keys.keys().len() <= 100);
        for key in keys.keys() {
            assert!(!key.algorithms().is_empty());
        }
    }
});
