//! `wycheproof`: signatures in JOSE form, and those over bytes that JOSE has.

use anyhow::{Context, Result};
use bartizan_jwt::Algorithm;
use serde_json::Value;

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
                    if jwk::kind_not_offered(key) {
                        tally.skip("symmetric keys and P-521 are not offered");
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
            if jwk::kind_not_offered(jwk) {
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
