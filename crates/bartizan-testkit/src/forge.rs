//! Surgery on finished tokens.
//!
//! Each function takes a token in compact form (RFC 7515 §7.1) and gives a copy that a strict
//! verifier must refuse. None of them needs a key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::der;
use crate::error::TestkitError;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Sets one claim to another value and keeps the signature.
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts or its payload is no JSON object.
pub fn tampered_claim(
    token: &str,
    name: &str,
    value: impl Into<Value>,
) -> Result<String, TestkitError> {
    let (header, payload, signature) = parts(token)?;
    let payload = replaced_member(payload, name, value.into())?;
    Ok(format!("{header}.{payload}.{signature}"))
}

/// Sets one header member to another value and keeps the signature.
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts or its header is no JSON object.
pub fn tampered_header(
    token: &str,
    name: &str,
    value: impl Into<Value>,
) -> Result<String, TestkitError> {
    let (header, payload, signature) = parts(token)?;
    let header = replaced_member(header, name, value.into())?;
    Ok(format!("{header}.{payload}.{signature}"))
}

/// Takes the last byte off the signature.
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts or its signature is not base64url.
pub fn truncated_signature(token: &str) -> Result<String, TestkitError> {
    let mut signature = signature(token)?;
    signature.pop();
    with_signature(token, &signature)
}

/// Inverts the lowest bit of the signature's first byte.
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts or its signature is not base64url.
pub fn flipped_signature(token: &str) -> Result<String, TestkitError> {
    let mut signature = signature(token)?;
    if let Some(first) = signature.first_mut() {
        *first ^= 1;
    }
    with_signature(token, &signature)
}

/// Replaces the signature by as many zero bytes: r = s = 0 for ECDSA (CVE-2022-21449).
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts or its signature is not base64url.
pub fn zero_signature(token: &str) -> Result<String, TestkitError> {
    let length = signature(token)?.len();
    with_signature(token, &vec![0; length])
}

/// Leaves the third part empty.
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts.
pub fn without_signature(token: &str) -> Result<String, TestkitError> {
    with_signature(token, &[])
}

/// Rewrites a fixed-length ECDSA signature as the DER sequence that X.509 uses. The signature
/// stays mathematically right; JWS does not allow the form (RFC 7518 §3.4).
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts or its signature is not base64url.
pub fn der_signature(token: &str) -> Result<String, TestkitError> {
    let signature = signature(token)?;
    let (r, s) = signature.split_at(signature.len() / 2);
    with_signature(token, &der::sequence(&[der::unsigned(r), der::unsigned(s)]))
}

/// Replaces the signature.
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts.
pub fn with_signature(token: &str, signature: &[u8]) -> Result<String, TestkitError> {
    let (header, payload, _) = parts(token)?;
    Ok(format!(
        "{header}.{payload}.{}",
        URL_SAFE_NO_PAD.encode(signature)
    ))
}

/// Pads the signature with `=`, which base64url of JWS never has (RFC 7515 §2).
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts, or its signature needs no padding.
pub fn padded_signature(token: &str) -> Result<String, TestkitError> {
    let (.., signature) = parts(token)?;
    match signature.len() % 4 {
        0 => Err(TestkitError::Token {
            reason: "a signature whose length needs padding",
        }),
        rest => Ok(format!("{token}{}", "=".repeat(4 - rest))),
    }
}

/// Sets a bit of the last character of the signature that stands for nothing, so that a lax
/// decoder sees the same signature in another text (RFC 4648 §3.5).
///
/// # Errors
///
/// [`TestkitError::Token`] if `token` has not three parts, or its signature fills its characters
/// (ES384).
pub fn non_canonical_signature(token: &str) -> Result<String, TestkitError> {
    const NOTHING_LEFT: TestkitError = TestkitError::Token {
        reason: "a signature with unused bits in its last character",
    };
    let (header, payload, signature) = parts(token)?;
    if signature.len().is_multiple_of(4) {
        return Err(NOTHING_LEFT);
    }
    let mut text = signature.to_owned();
    let last = text.pop().ok_or(NOTHING_LEFT)?;
    let index = ALPHABET
        .iter()
        .position(|c| char::from(*c) == last)
        .ok_or(NOTHING_LEFT)?;
    // Two or four bits are unused, so the lowest one always is; canonical text has it zero.
    text.push(
        ALPHABET
            .get(index | 1)
            .copied()
            .map(char::from)
            .ok_or(NOTHING_LEFT)?,
    );
    Ok(format!("{header}.{payload}.{text}"))
}

fn parts(token: &str) -> Result<(&str, &str, &str), TestkitError> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok((header, payload, signature)),
        _ => Err(TestkitError::Token {
            reason: "three parts",
        }),
    }
}

fn signature(token: &str) -> Result<Vec<u8>, TestkitError> {
    decode(parts(token)?.2)
}

fn decode(part: &str) -> Result<Vec<u8>, TestkitError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TestkitError::Token {
            reason: "base64url",
        })
}

fn replaced_member(part: &str, name: &str, value: Value) -> Result<String, TestkitError> {
    let mut members: Map<String, Value> =
        serde_json::from_slice(&decode(part)?).map_err(|_| TestkitError::Token {
            reason: "a JSON object",
        })?;
    members.insert(name.to_owned(), value);
    Ok(URL_SAFE_NO_PAD.encode(Value::Object(members).to_string()))
}
