//! Introspection responses: nothing passes that is not said to be active, from this issuer, for
//! this service and at present, by `serde_json`'s reading.

use bartizan_core::WallTime;
use bartizan_jwt::Rules;
use bartizan_jwt::fuzzing::{introspection, looks_signed};
use serde_json::Value;

/// Holds the bytes to what the head of this file says.
pub fn check(body: &[u8]) {
    let rules = Rules::builder("https://i.example", "https://a.example")
        .allow_missing_issued_at()
        .allow_missing_token_id()
        .allow_missing_client()
        .build()
        .expect("rules");
    let now = WallTime::from_unix_seconds(1_800_000_000);
    if let Some(claims) = introspection(body, &rules, now) {
        let read: Value = serde_json::from_slice(body).expect("it was read");
        assert_eq!(read["active"], true);
        assert_eq!(read["iss"], "https://i.example");
        assert_eq!(read["sub"], claims.principal().subject());
        let audience = match &read["aud"] {
            Value::Array(audience) => audience.contains(&"https://a.example".into()),
            audience => audience == "https://a.example",
        };
        assert!(audience);
        assert_eq!(claims.principal().issuer(), "https://i.example");
        assert!(claims.expires() + rules.leeway() > now);
    }
    if let Ok(token) = std::str::from_utf8(body) {
        // Whatever else is there, what has an object before a dot is not shown to anybody.
        assert!(looks_signed(&format!("e30.{token}")));
        assert!(!looks_signed(&token.replace('.', "")));
    }
}
