//! Claims of tokens that the issuer did sign: none passes that is not of this issuer, for this
//! service and at present, by `serde_json`'s reading; and none whose header says something else.

use bartizan_core::WallTime;
use bartizan_jwt::{Algorithm, KeySet, Rules, SharedSecret, verify};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;

use crate::input::Input;

const SECRET: [u8; 32] = [0x5a; 32];
const NOW: u64 = 1_800_000_000;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (header, payload) = (input.line(), input.rest());
    let signed = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = signed.join(".");
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &SECRET),
        signed.as_bytes(),
    );
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    let rules = Rules::builder("https://issuer.example", "orders")
        .with_algorithms([Algorithm::Hs256])
        .build()
        .expect("rules");
    let secret = SharedSecret::new(Algorithm::Hs256, &SECRET).expect("secret");
    let now = WallTime::from_unix_seconds(NOW);
    let verified = verify(&token, &KeySet::from_secrets([secret]), &rules, now);
    assert!(verify(&token, &KeySet::default(), &rules, now).is_err());
    let Ok(verified) = verified else {
        return;
    };
    let header: Value = serde_json::from_slice(header).expect("it was read");
    assert_eq!(header["alg"], "HS256");
    assert!(
        ["crit", "b64", "zip", "enc"]
            .iter()
            .all(|name| header.get(name).is_none())
    );
    let read: Value = serde_json::from_slice(payload).expect("it was read");
    let (claims, leeway) = (verified.claims(), rules.leeway().as_secs_f64());
    let now = NOW as f64;
    assert_eq!(read["iss"], "https://issuer.example");
    assert_eq!(read["sub"], claims.principal().subject());
    let audience = match &read["aud"] {
        Value::Array(audience) => audience.contains(&"orders".into()),
        audience => audience == "orders",
    };
    assert!(audience);
    let moment = |name: &str| read.get(name).and_then(Value::as_f64);
    assert!(moment("exp").is_some_and(|end| end + leeway > now));
    assert!(
        ["nbf", "iat"]
            .iter()
            .all(|it| moment(it).is_none_or(|begin| begin < now + leeway + 1.0))
    );
    // A binding that nobody has looked at does not pass.
    assert!(read.get("cnf").is_none());
    assert_eq!(claims.payload().as_bytes(), payload);
}
