//! Challenges of services that were called: what stands in quotes says nothing, and what stands
//! behind them says what it says.

use bartizan_jwt::fuzzing::says_invalid_token;
use http::HeaderValue;

/// Holds the bytes to what the head of this file says.
pub fn check(text: &[u8]) {
    let Ok(challenge) = HeaderValue::from_bytes(text) else {
        return;
    };
    if says_invalid_token(&challenge) {
        let lower = text.to_ascii_lowercase();
        let holds = |word: &[u8]| lower.windows(word.len()).any(|it| it == word);
        assert!(holds(b"error") && holds(b"invalid_token"));
    }
    let mut quoted = b"Bearer realm=\"".to_vec();
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).expect("it was one");
    assert!(!says_invalid_token(&value(&quoted)));
    quoted.extend(b", error=\"invalid_token\"");
    assert!(says_invalid_token(&value(&quoted)));
}
