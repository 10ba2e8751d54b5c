//! Tokens, whole: no key is trusted, or a secret that nobody knows, so that none may pass.

use bartizan_core::WallTime;
use bartizan_jwt::{Algorithm, KeySet, Rules, SharedSecret, verify};

use crate::input::text;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let token = text(bytes);
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
}
