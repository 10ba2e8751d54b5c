//! Introspection responses: nothing passes that is not said to be active, from this issuer, for
//! this service and at present.
#![no_main]

use bartizan_core::WallTime;
use bartizan_jwt::Rules;
use bartizan_jwt::fuzzing::{introspection, looks_signed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let rules = Rules::builder("https://i.example", "https://a.example")
        .allow_missing_issued_at()
        .allow_missing_token_id()
        .allow_missing_client()
        .build()
        .expect("rules");
    let now = WallTime::from_unix_seconds(1_800_000_000);
    if let Some(claims) = introspection(body, &rules, now) {
        let text = std::str::from_utf8(body).expect("JSON is UTF-8");
        assert!(text.contains("true"));
        assert_eq!(claims.principal().issuer(), "https://i.example");
        assert!(claims.expires() + rules.leeway() > now);
    }
    if let Ok(token) = std::str::from_utf8(body) {
        let _ = looks_signed(token);
    }
});
