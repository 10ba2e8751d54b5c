//! Answers of Vault: what is read is what `serde_json` reads there, no data key comes of anything but
//! 32 bytes, and a token is renewed before it ends, however long it is said to last.

use bartizan_encrypt::fuzzing::{transit_answer, vault_login};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::input::Input;
use crate::kms_answers::{check_line, spelled_out};

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (status, body) = (input.short(), input.rest());
    let read = spelled_out(body);
    for call in ["encrypt", "decrypt", "datakey"] {
        match (transit_answer(call, status, body), &read) {
            (Ok((ciphertext, has_key)), Some(read)) => {
                assert_eq!(has_key, call != "encrypt");
                assert!(ciphertext.is_none_or(|it| read["data"]["ciphertext"] == it));
                if has_key {
                    let key = read["data"]["plaintext"].as_str().expect("it has one");
                    assert_eq!(STANDARD.decode(key).map(|key| key.len()), Ok(32));
                }
            }
            (Ok(_), None) => {}
            (Err(error), _) => check_line(&error),
        }
    }
    match (vault_login(status, body), &read) {
        (Ok(lease), read) => {
            if let Some((lease, renewal)) = lease {
                assert!(!renewal.is_zero() && renewal < lease);
            }
            if let Some(read) = read {
                let stated = read["auth"]["lease_duration"].as_u64().expect("it has one");
                assert_eq!(lease.is_some(), stated > 0);
                assert!(lease.is_none_or(|(lease, _)| lease.as_secs() <= stated));
            }
        }
        (Err(error), _) => check_line(&error),
    }
}
