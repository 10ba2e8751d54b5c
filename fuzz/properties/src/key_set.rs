//! Key sets as an issuer might send them: bounded, every kept key is one that `serde_json` finds
//! there, and none verifies what nobody signed.

use bartizan_jwt::KeySet;
use serde_json::Value;

use crate::input::text;

/// The point that is added to others without a change, and nothing: under a key that is no key
/// this is a signature of everything.
const NOBODYS: [u8; 64] = {
    let mut signature = [0; 64];
    signature[0] = 1;
    signature
};

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let document = text(bytes);
    let Ok(keys) = KeySet::from_json(document) else {
        return;
    };
    let read: Value = serde_json::from_str(document).expect("it was read");
    let published = read["keys"].as_array().expect("it has keys");
    assert!(keys.keys().len() <= published.len().min(100));
    for key in keys.keys() {
        assert!(!key.algorithms().is_empty());
        let id = key.key_id().map(Value::from);
        // Symmetric keys are never read from a set.
        let is_this = |jwk: &Value| jwk.get("kid") == id.as_ref() && jwk["kty"] != "oct";
        assert!(published.iter().any(is_this), "{id:?}");
        for algorithm in key.algorithms().iter() {
            for message in ["", "message"] {
                assert!(!key.verifies(algorithm, message.as_bytes(), &NOBODYS));
            }
        }
    }
}
