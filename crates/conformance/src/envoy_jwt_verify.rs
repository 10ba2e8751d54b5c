//! `envoy-jwt-verify`: the test data of the library inside Envoy's JWT filter.

use anyhow::Result;
use bartizan_core::WallTime;
use bartizan_jwt::{JwtErrorKind, KeySet, Rules, verify};
use serde_json::Value;

use crate::jwk;
use crate::material::{Material, Members, items};
use crate::tally::{Expected, Observed, Tally, reason};

const NO_PEM: &str = "bare PEM keys are not offered";

/// The step of parsing alone.
pub(crate) fn tokens(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in items(&material.json()?)? {
        let token = case.text("token")?;
        let expected = match case.text("result")? {
            "parse-ok" => {
                if let Some(reason) = jwk::algorithm_not_in_a_set(token) {
                    tally.skip(reason);
                    continue;
                }
                Expected::ACCEPTED
            }
            _ => Expected::Refused,
        };
        let rules = rules_for(token)?;
        tally.judge(case.text("name")?, expected, || parse(token, &rules));
    }
    Ok(())
}

/// Documents of keys, with the number of those that can be used.
pub(crate) fn key_sets(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in items(&material.json()?)? {
        let (name, document) = (case.text("name")?, case.text("jwks")?);
        let is_good = case.text("result")? == "ok";
        if is_good && case.text("form")? == "PEM" {
            tally.skip(NO_PEM);
            continue;
        }
        // A map of certificates, which Google serves, is no key set; it must fail cleanly.
        let expected = if is_good && !name.contains("X509") {
            match usable(case, document) {
                Some(0) => {
                    tally.skip("the only key is of a kind that is not offered");
                    continue;
                }
                Some(keys) => Expected::value(format!("{keys} keys")),
                None => Expected::ACCEPTED,
            }
        } else {
            Expected::Refused
        };
        tally.judge(name, expected, || match KeySet::from_json(document) {
            Err(error) => Err(reason(error)),
            Ok(keys) if keys.is_empty() => Err("no usable key".to_owned()),
            Ok(keys) => Ok(format!("{} keys", keys.keys().len())),
        });
    }
    Ok(())
}

/// Signatures, and each good one with a flipped bit and cut short.
pub(crate) fn signatures(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in items(&material.json()?)? {
        let (Ok(name), Ok(token), Ok(document)) = (
            case.text("name"),
            case.text("token").or_else(|_| case.text("jwt")),
            case.member("jwks"),
        ) else {
            tally.skip("a case without name, token and jwks");
            continue;
        };
        let document = document
            .as_str()
            .map_or_else(|| document.to_string(), str::to_owned);
        let is_good = case.text("result")? != "invalid";
        if let Some(reason) = not_asked_here(case, token, is_good) {
            tally.skip(reason);
            continue;
        }
        let keys = KeySet::from_json(&document);
        let run = |token: &str| match &keys {
            Ok(keys) => jwk::signed_payload(token, keys),
            Err(error) => Err(reason(error)),
        };
        let expected = if is_good {
            Expected::ACCEPTED
        } else {
            Expected::Refused
        };
        tally.judge(name, expected, || run(token));
        if is_good {
            tally.judge(
                &format!("{name}, signature changed"),
                Expected::Refused,
                || first_accepted(token, run),
            );
        }
    }
    Ok(())
}

/// Why a signature alone does not decide a case.
fn not_asked_here(case: &Value, token: &str, is_good: bool) -> Option<String> {
    let status = case.maybe_text("status").unwrap_or_default();
    if case.maybe_text("form") == Some("PEM") {
        Some(NO_PEM.to_owned())
    } else if ["JwtAudienceNotAllowed", "JwtExpired", "JwtNotYetValid"].contains(&status) {
        Some("claims are checked together, and these tokens lack some".to_owned())
    } else if is_good {
        jwk::algorithm_not_in_a_set(token)
    } else {
        None
    }
}

/// Tries every changed form of a signature.
fn first_accepted(token: &str, run: impl Fn(&str) -> Observed) -> Observed {
    let Some((signed, signature)) = token.rsplit_once('.') else {
        return Err("not a token".to_owned());
    };
    let signature = jwk::decode(signature).unwrap_or_default();
    let flipped = (0..signature.len() * 8).map(|bit| {
        let mut changed = signature.clone();
        if let Some(byte) = changed.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        (format!("bit {bit} flipped"), changed)
    });
    let cut = (0..signature.len()).map(|length| {
        (
            format!("cut to {length} bytes"),
            signature.iter().copied().take(length).collect(),
        )
    });
    flipped
        .chain(cut)
        .find_map(|(change, changed): (String, Vec<u8>)| {
            run(&format!("{signed}.{}", jwk::encode(changed)))
                .is_ok()
                .then_some(Ok(change))
        })
        .unwrap_or(Err("every changed signature".to_owned()))
}

/// Rules that ask for nothing but what the token says, as far as it says it.
fn rules_for(token: &str) -> Result<Rules> {
    let claims = jwk::part(token, 1).unwrap_or_default();
    let issuer = claims
        .maybe_text("iss")
        .filter(|issuer| issuer.starts_with("https://"));
    let audience = claims.get("aud").and_then(|audience| match audience {
        Value::Array(list) => list.first()?.as_str(),
        other => other.as_str(),
    });
    let rules = Rules::builder(
        issuer.unwrap_or("https://issuer.example"),
        audience
            .filter(|audience| !audience.is_empty())
            .unwrap_or("audience"),
    );
    Ok(rules
        .allow_type("JWT")
        .allow_missing_type()
        .allow_missing_issued_at()
        .allow_missing_token_id()
        .allow_missing_client()
        .build()?)
}

/// A token is parsed before it is asked who issued it for whom, and the key is looked for last.
/// So whoever gets that far, with no keys at all, was parsed.
fn parse(token: &str, rules: &Rules) -> Observed {
    let claims = jwk::part(token, 1).unwrap_or_default();
    let start = claims
        .number("nbf")
        .or_else(|_| claims.number("iat"))
        .unwrap_or(1);
    let now = WallTime::from_unix_seconds(start);
    let refused = match verify(token, &KeySet::default(), rules, now) {
        Ok(_) => return Err("verified without a key".to_owned()),
        Err(refused) => refused,
    };
    match refused.kind() {
        JwtErrorKind::UnknownKey => Ok("parsed".to_owned()),
        // Envoy's parser does not ask for claims; which are missing is a matter of rules.
        JwtErrorKind::InvalidClaim if refused.to_string().contains("is missing") => {
            Ok(format!("parsed, then {refused}"))
        }
        _ => Err(refused.to_string()),
    }
}

/// How many keys of a document are usable, less those of a kind that we do not offer.
fn usable(case: &Value, document: &str) -> Option<u64> {
    let parsed: Value = serde_json::from_str(document).ok()?;
    let keys = parsed.list("keys").ok()?;
    let missing = keys
        .iter()
        .filter(|key| jwk::kind_not_in_a_set(key))
        .count() as u64;
    match case.number("usable_keys") {
        Ok(keys) => Some(keys.saturating_sub(missing)),
        Err(_) if missing == keys.len() as u64 => Some(0),
        Err(_) => None,
    }
}
