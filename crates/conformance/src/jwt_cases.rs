//! `jwt-cases`: tokens and key sets, good and hostile.

use anyhow::Result;
use bartizan_core::WallTime;
use bartizan_jwt::{KeySet, Rules, verify};
use serde_json::Value;

use crate::jwk;
use crate::material::{Material, Members, items};
use crate::tally::{Expected, Tally, reason};

/// Tokens under one policy, which is that of the file; what it leaves open is the default.
pub(crate) fn tokens(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let keys = material.beside("jwks.json");
    tally.uses(&*keys);
    tally.uses(material.beside("private-jwks.json"));
    let keys = KeySet::from_json(&String::from_utf8(material.other(&keys)?)?)?;
    let policy = document.member("policy")?;
    let rules = Rules::builder(policy.text("issuer")?, policy.text("audience")?)
        .allow_type("JWT")
        .allow_missing_type()
        .allow_missing_issued_at()
        .allow_missing_token_id()
        .allow_missing_client()
        .build()?;
    let now = WallTime::from_unix_seconds(document.number("now")?);
    for case in document.list("cases")? {
        let token = case.text("token")?;
        let expected = match case.text("expect")? {
            "accept" => {
                if let Some(reason) = jwk::algorithm_not_in_a_set(token) {
                    tally.skip(reason);
                    continue;
                }
                let claims = jwk::part(token, 1).unwrap_or_default();
                Expected::value(claims.maybe_text("sub").unwrap_or("alice"))
            }
            "reject" => Expected::Refused,
            _ => Expected::Either,
        };
        tally.judge(case.text("id")?, expected, || {
            let verified = verify(token, &keys, &rules, now).map_err(reason)?;
            Ok(verified.claims().principal().subject().to_owned())
        });
    }
    Ok(())
}

/// JWT-SVIDs of one trust domain, for one audience.
pub(crate) fn svids(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let keys = KeySet::from_spiffe_bundle(&document.member("bundle")?.to_string())?;
    let domain = document.text("trust_domain")?.parse()?;
    let rules = Rules::svid(&domain, document.text("audience")?).build()?;
    let now = WallTime::from_unix_seconds(document.number("now")?);
    for case in document.list("cases")? {
        let token = case.text("token")?;
        let claims = jwk::part(token, 1).unwrap_or_default();
        let expected = match case.text("expect")? {
            "accept" => Expected::value(claims.text("sub")?),
            "reject" => Expected::Refused,
            _ => Expected::Either,
        };
        tally.judge(case.text("id")?, expected, || {
            let verified = verify(token, &keys, &rules, now).map_err(reason)?;
            Ok(verified.claims().principal().subject().to_owned())
        });
    }
    Ok(())
}

/// Documents that an issuer may serve as its key set.
pub(crate) fn key_sets(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in items(&material.json()?)? {
        let document = case.text("jwks")?;
        let usable = case.member("usable_kids")?;
        let expected = match usable {
            Value::Null => Expected::Refused,
            Value::Array(_) => Expected::value(case.texts("usable_kids")?.join(" ")),
            _ => Expected::Either,
        };
        let none_is_wanted = usable.as_array().is_some_and(Vec::is_empty);
        tally.judge(case.text("id")?, expected, || {
            match KeySet::from_json(document) {
                Ok(keys) => Ok(in_order_of_the_document(document, &keys).join(" ")),
                // No key can be used of a set that was refused, either.
                Err(_) if none_is_wanted => Ok(String::new()),
                Err(error) => Err(reason(error)),
            }
        });
    }
    Ok(())
}

/// The names of the usable keys. The set sorts them; the file does not.
fn in_order_of_the_document(document: &str, keys: &KeySet) -> Vec<String> {
    let mut names: Vec<_> = keys
        .keys()
        .iter()
        .map(|key| key.key_id().unwrap_or("(no kid)").to_owned())
        .collect();
    let place = |name: &str| document.find(&format!("{name:?}")).unwrap_or(usize::MAX);
    names.sort_by_key(|name| place(name));
    names
}
