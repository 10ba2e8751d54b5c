//! `wycheproof`: signatures in JOSE form.

use anyhow::{Context, Result};
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

fn id(test: &Value) -> Result<String> {
    Ok(format!(
        "{} {}",
        test.number("tcId")?,
        test.text("comment")?
    ))
}
