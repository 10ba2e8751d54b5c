//! `wycheproof`: signatures in JOSE form, and those over bytes that JOSE has.

use anyhow::{Context, Result};
use bartizan_jwt::Algorithm;
use serde_json::{Value, json};

use crate::jwk;
use crate::material::{Material, Members};
use crate::tally::{Expected, Tally};

/// JSON Web Signatures, each under the key of its group.
pub(crate) fn signatures(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    for group in document.list("testGroups")? {
        let key = group.get("public").or_else(|| group.get("private"));
        let key = key.context("a group without a key")?;
        let keys = jwk::set_of(key)?;
        for test in group.list("tests")? {
            // What is not one text is the JSON form, which is none of ours.
            let jws = test.member("jws")?;
            let jws = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
            let expected = match test.text("result")? {
                "valid" => {
                    if jwk::curve_not_offered(key) {
                        tally.skip("P-521 is not offered");
                        continue;
                    }
                    Expected::ACCEPTED
                }
                "invalid" => Expected::Refused,
                _ => Expected::Either,
            };
            tally.judge(&id(test)?, expected, || jwk::signed_payload(&jws, &keys));
        }
    }
    Ok(())
}

/// Signatures over bytes, under the key of their group and its one algorithm.
pub(crate) fn raw_signatures(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    for group in document.list("testGroups")? {
        let jwk = group.get("publicKeyJwk").or_else(|| group.get("keyJwk"));
        let keys = jwk.map(jwk::set_of).transpose()?;
        for test in group.list("tests")? {
            let (Some(jwk), Some(keys)) = (jwk, &keys) else {
                tally.skip("the group has no JWK");
                continue;
            };
            if jwk::curve_not_offered(jwk) {
                tally.skip("P-521 is not offered");
                continue;
            }
            let expected = match test.text("result")? {
                "valid" => Expected::ACCEPTED,
                "invalid" => Expected::Refused,
                _ => Expected::Either,
            };
            let (message, signature) = (bytes(test, "msg")?, bytes(test, "sig")?);
            tally.judge(&id(test)?, expected, || {
                let key = keys.keys().first().ok_or("the key is not usable")?;
                let mut algorithms = Algorithm::ALL
                    .into_iter()
                    .filter(|algorithm| key.algorithms().contains(*algorithm));
                let algorithm = algorithms.next().ok_or("the key has no algorithm")?;
                if key.verifies(algorithm, &message, &signature) {
                    Ok(String::new())
                } else {
                    Err("the signature does not verify".to_owned())
                }
            });
        }
    }
    Ok(())
}

/// Signatures in DER, on P-384: put into the form of JOSE where they are two numbers, and as they
/// are otherwise, which no JWS has.
pub(crate) fn der_signatures(material: &Material, tally: &mut Tally) -> Result<()> {
    const LENGTH: usize = 48;
    let document = material.json()?;
    for group in document.list("testGroups")? {
        let point = bytes(group.member("publicKey")?, "uncompressed")?;
        let (x, y) = point
            .strip_prefix(&[4])
            .and_then(|coordinates| coordinates.split_at_checked(LENGTH))
            .context("no uncompressed point")?;
        let [x, y] = [x, y].map(jwk::encode);
        let keys = jwk::set_of(&json!({ "kty": "EC", "crv": "P-384", "x": x, "y": y }))?;
        for test in group.list("tests")? {
            let (message, signature) = (bytes(test, "msg")?, bytes(test, "sig")?);
            let numbers = two_numbers(&signature, LENGTH);
            let expected = match (test.text("result")?, &numbers) {
                ("valid", Some(_)) => Expected::ACCEPTED,
                ("valid", None) => {
                    tally.skip("is valid in DER alone");
                    continue;
                }
                ("invalid", _) => Expected::Refused,
                _ => Expected::Either,
            };
            tally.judge(&id(test)?, expected, || {
                let key = keys.keys().first().ok_or("the key is not usable")?;
                let verifies =
                    |signature: &[u8]| key.verifies(Algorithm::Es384, &message, signature);
                if verifies(&signature) || numbers.as_deref().is_some_and(verifies) {
                    Ok(String::new())
                } else {
                    Err("the signature does not verify".to_owned())
                }
            });
        }
    }
    Ok(())
}

/// The two numbers of a signature, side by side, if it is strict DER and they have room.
fn two_numbers(signature: &[u8], length: usize) -> Option<Vec<u8>> {
    let (body, rest) = value_of(0x30, signature)?;
    let (r, after) = value_of(2, body)?;
    let (s, end) = value_of(2, after)?;
    let mut numbers = Vec::new();
    for number in [r, s] {
        let number = match number {
            [0, next, ..] if *next >= 0x80 => number.get(1..)?,
            [0, _, ..] => return None,
            [first, ..] if *first < 0x80 => number,
            _ => return None,
        };
        numbers.extend(std::iter::repeat_n(0, length.checked_sub(number.len())?));
        numbers.extend_from_slice(number);
    }
    (rest.is_empty() && end.is_empty()).then_some(numbers)
}

/// What stands in a DER value of this tag, and what follows it. Nothing here is 128 bytes long.
fn value_of(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [found, length, rest @ ..] if *found == tag && *length < 0x80 => {
            rest.split_at_checked(usize::from(*length))
        }
        _ => None,
    }
}

/// A text of hexadecimal digits.
fn bytes(test: &Value, name: &str) -> Result<Vec<u8>> {
    let digits = test.text(name)?;
    let pairs = (0..digits.len()).step_by(2);
    let bytes = pairs.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    bytes
        .collect::<Option<_>>()
        .with_context(|| format!("{name} is not hexadecimal"))
}

fn id(test: &Value) -> Result<String> {
    Ok(format!(
        "{} {}",
        test.number("tcId")?,
        test.text("comment")?
    ))
}
