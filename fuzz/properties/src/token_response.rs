//! Token responses: what is read is one token, fit for a header, and the one that `serde_json`
//! reads; an error is the one that is stated.

use bartizan_jwt::fuzzing::{oauth_error, token_response};
use serde_json::Value;

use crate::input::Input;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (is_exchange, body) = (input.flag(), input.rest());
    let read = serde_json::from_slice::<Value>(body);
    if let Some(token) = token_response(body, is_exchange) {
        assert!(!token.is_empty() && token.len() <= 16 * 1024);
        let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b',' && byte != b'"';
        assert!(token.bytes().all(is_fit));
        let read = read.as_ref().expect("it was read");
        assert_eq!(read["access_token"], token);
        let kind = read["token_type"].as_str().expect("it has one");
        assert!(kind.eq_ignore_ascii_case("bearer"));
        // What is no answer to an exchange is an answer at least, and not the other way round.
        assert!(!is_exchange || token_response(body, false).is_some());
    }
    if let Some(code) = oauth_error(body) {
        let stated = &read.expect("it was read")["error"];
        assert!(code == "other" && stated.is_string() || stated == code);
    }
}
