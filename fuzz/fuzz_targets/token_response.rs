//! Token responses: what is read is one token, fit for a header.
#![no_main]

use bartizan_jwt::fuzzing::token_response;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], bool)| {
    let (body, is_exchange) = input;
    if let Some(token) = token_response(body, is_exchange) {
        assert!(!token.is_empty() && token.len() <= 16 * 1024);
        let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b',' && byte != b'"';
        assert!(token.bytes().all(is_fit));
    }
});
