//! Answers of KMS and of STS: what is read is what `serde_json` reads there, no data key comes of
//! anything but 32 bytes, and what a provider says is wrong stays one short line.

use bartizan_encrypt::KekError;
use bartizan_encrypt::fuzzing::{kms_answer, sts_answer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::input::Input;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (status, body) = (input.short(), input.rest());
    let read = spelled_out(body);
    for operation in ["Encrypt", "Decrypt", "GenerateDataKey", "DescribeKey"] {
        match kms_answer(operation, status, body) {
            Ok((wrapped, name, has_key)) => {
                let Some(read) = &read else {
                    continue;
                };
                if operation == "DescribeKey" {
                    let name = name.expect("it has one");
                    assert_eq!(read["KeyMetadata"]["Arn"], name);
                    continue;
                }
                assert_eq!(has_key, operation != "Encrypt");
                assert!(name.is_none_or(|name| read["KeyId"] == name));
                if operation != "Decrypt" {
                    assert_eq!(read["CiphertextBlob"], STANDARD.encode(wrapped));
                }
                if has_key {
                    let key = read["Plaintext"].as_str().expect("it has one");
                    assert_eq!(STANDARD.decode(key).map(|key| key.len()), Ok(32));
                }
            }
            Err(error) => check_line(&error),
        }
    }
    match sts_answer(body) {
        Ok(credentials) => {
            let text = std::str::from_utf8(body).expect("it was read");
            assert!(text.contains(&format!("<AccessKeyId>{}</", credentials.access_key_id())));
        }
        Err(error) => check_line(&error),
    }
}

pub(crate) fn check_line(error: &KekError) {
    let line = error.to_string();
    assert!(line.chars().count() <= 600, "{line}");
    assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
}

/// A document as `serde_json` reads it, if its members have names: those of one that is to be kept
/// may also stand in a list, in their order.
pub(crate) fn spelled_out(body: &[u8]) -> Option<Value> {
    let read: Value = serde_json::from_slice(body).ok()?;
    let members = read.as_object()?;
    members.values().all(|it| !it.is_array()).then_some(read)
}
