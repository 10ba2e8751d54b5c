//! Tokens, whole: no key is trusted, or a secret that nobody knows, so that none may pass.
#![no_main]

use bartizan_core::WallTime;
use bartizan_jwt::{Algorithm, KeySet, Rules, SharedSecret, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|token: &str| {
    let rules = Rules::builder("https://issuer.example", "orders")
        .build()
        .expect("rules");
    let now = WallTime::from_unix_seconds(1_800_000_000);
    assert!(verify(token, &KeySet::default(), &rules, now).is_err());

    let rules = Rules::builder("https://issuer.example", "orders")
        .with_algorithms([Algorithm::Hs256])
        .build()
        .expect("rules");
    let secret = SharedSecret::new(Algorithm::Hs256, &[0x5a; 32]).expect("secret");
    let keys = KeySet::from_secrets([secret]);
    assert!(verify(token, &keys, &rules, now).is_err());
});
