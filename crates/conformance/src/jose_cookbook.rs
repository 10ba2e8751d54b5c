//! `jose-cookbook`: the examples of RFC 7520, RFC 8037 and RFC 7797.

use anyhow::Result;
use bartizan_core::WallTime;
use bartizan_jwt::{KeySet, Rules, verify};
use serde_json::{Map, Value};

use crate::jwk;
use crate::material::{Material, Members};
use crate::tally::{Expected, Tally, reason};

/// The reader of one file of the folder.
pub(crate) fn reader(name: &str) -> Option<fn(&Material, &mut Tally) -> Result<()>> {
    let (folder, file) = name.split_once('/')?;
    match (folder, file) {
        ("jws", _) | ("rfc7797", _) | ("curve25519", "jws.json") => Some(signed),
        ("jwe", _) | ("curve25519", _) => Some(encrypted),
        _ => None,
    }
}

/// A signature in each of its forms: the compact one verifies and gives the payload, unless it is
/// detached or unencoded; the others are never taken for one.
fn signed(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let input = document.member("input")?;
    let keys = match input.member("key")? {
        Value::Array(list) => list.iter().map(jwk::set_of).collect::<Result<Vec<_>>>()?,
        key => vec![jwk::set_of(key)?],
    };
    for (form, output) in forms(&document) {
        let payload = input.text("payload")?;
        let is_whole = output.split('.').all(|part| !part.is_empty());
        let expected = if form == "compact" && is_whole && !is_unencoded(&output) {
            match jwk::algorithm_not_offered(&output) {
                Some(reason) => {
                    tally.skip(reason);
                    continue;
                }
                None => Expected::value(payload),
            }
        } else {
            Expected::Refused
        };
        tally.judge(form, expected, || {
            any(&keys, |keys| jwk::signed_payload(&output, keys))
        });
        // A text that is no set of claims is no token.
        let rules = Rules::builder("https://issuer.example", "audience")
            .allow_missing_type()
            .build()?;
        tally.judge(&format!("{form} as a token"), Expected::Refused, || {
            any(&keys, |keys| {
                let verified = verify(&output, keys, &rules, WallTime::from_unix_seconds(0));
                verified.map(|_| String::new()).map_err(reason)
            })
        });
    }
    Ok(())
}

/// Something encrypted, which is never taken for something signed.
fn encrypted(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    for (form, output) in forms(&document) {
        let keys = KeySet::default();
        tally.judge(form, Expected::Refused, || {
            match jwk::signed_payload(&output, &keys) {
                // A key that is missing would not be a reason.
                Err(reason) if reason.contains("no key") => Ok(reason),
                other => other,
            }
        });
    }
    Ok(())
}

fn forms(document: &Value) -> Vec<(&str, String)> {
    let forms = document
        .get("output")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter);
    let text = |form: &Value| {
        form.as_str()
            .map_or_else(|| form.to_string(), str::to_owned)
    };
    forms
        .map(|(name, form)| (name.as_str(), text(form)))
        .collect()
}

fn is_unencoded(token: &str) -> bool {
    jwk::part(token, 0).is_some_and(|header| header.get("b64").is_some())
}

/// The first key set that accepts, or what the last one said.
fn any(keys: &[KeySet], run: impl Fn(&KeySet) -> Result<String, String>) -> Result<String, String> {
    let mut answer = Err("no key".to_owned());
    for keys in keys {
        answer = run(keys);
        if answer.is_ok() {
            break;
        }
    }
    answer
}
