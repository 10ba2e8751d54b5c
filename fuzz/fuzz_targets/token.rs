//! Tokens, whole: no key is trusted, so that none may pass.
#![no_main]

use bartizan_core::WallTime;
use bartizan_jwt::{KeySet, Rules, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|token: &str| {
    let rules = Rules::builder("https://issuer.example", "orders")
        .build()
        .expect("rules");
    let now = WallTime::from_unix_seconds(1_800_000_000);
    assert!(verify(token, &KeySet::default(), &rules, now).is_err());
});
