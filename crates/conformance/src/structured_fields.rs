//! `structured-fields` and `ratelimit-headers`: what we write of them, which is the name and the
//! numbers of a policy.

use anyhow::{Context, Result};
use bartizan_ratelimit::{Limiter, Policy, Rate};
use serde_json::Value;
use sfv::{BareItem, List, ListEntry, Parser};
use std::time::Duration;

use crate::material::{Material, Members, items};
use crate::tally::{Expected, Observed, Tally, reason};

/// Strings, as names of policies.
pub(crate) fn strings(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in items(&material.json()?)? {
        let name = case.text("name")?;
        let writes = case.get("raw").is_none();
        let must_fail = case.get("must_fail").and_then(Value::as_bool) == Some(true);
        if must_fail && !writes {
            tally.skip("nothing of the family reads structured fields");
            continue;
        }
        let value = case.list("expected")?.first().and_then(Value::as_str);
        let Some(value) = value.filter(|value| (1..=64).contains(&value.len())) else {
            tally.skip("no String of 1 to 64 characters, as names are");
            continue;
        };
        let expected = match must_fail {
            true => Expected::Refused,
            false => Expected::value(format!("{};q=1;w=1", canonical(case)?)),
        };
        tally.judge(name, expected, || written(value, Rate::per_second(1)));
    }
    Ok(())
}

/// Integers, as quotas of policies.
pub(crate) fn integers(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in items(&material.json()?)? {
        if case.get("must_fail").and_then(Value::as_bool) == Some(true) {
            tally.skip("nothing of the family reads structured fields");
            continue;
        }
        let expected = case.list("expected")?.first();
        let integer = expected
            .filter(|value| value.is_u64())
            .and_then(Value::as_u64);
        let Some(quota) = integer.filter(|quota| *quota > 0) else {
            tally.skip("no quota: not a whole number above zero");
            continue;
        };
        let canonical = canonical(case)?;
        // Few enough for a nanosecond, and a period that cannot be told.
        let rate = Rate::new(quota, Duration::from_nanos(1_500_000_000_000_000));
        tally.judge(
            case.text("name")?,
            Expected::value(format!("\"a\";q={canonical};w=1500000")),
            || written("a", rate),
        );
    }
    Ok(())
}

/// The draft's own examples of `RateLimit-Policy`.
pub(crate) fn draft(material: &Material, tally: &mut Tally) -> Result<()> {
    for (index, line) in material.json()?.texts("header_lines")?.iter().enumerate() {
        let Some(value) = line.strip_prefix("RateLimit-Policy:") else {
            tally.skip("a standing follows from what was spent, and cannot be set");
            continue;
        };
        let Ok(list) = Parser::new(value).parse::<List>() else {
            tally.skip("no structured field: the document's markup is left in the line");
            continue;
        };
        for (place, entry) in list.iter().enumerate() {
            match policy(entry) {
                Some((name, rate, text)) => {
                    let id = format!("line {index}, policy {place}");
                    tally.judge(&id, Expected::value(text), || written(&name, rate));
                }
                None => tally.skip("parameters beside q and w, or a name that is no String"),
            }
        }
    }
    Ok(())
}

/// A policy of the draft, and how it is written canonically.
fn policy(entry: &ListEntry) -> Option<(String, Rate, String)> {
    let ListEntry::Item(item) = entry else {
        return None;
    };
    let BareItem::String(name) = &item.bare_item else {
        return None;
    };
    let known = |key: &str| key == "q" || key == "w";
    if !item.params.keys().all(|key| known(key.as_str())) {
        return None;
    }
    let number = |key: &str| -> Option<u64> {
        let value = item.params.get(key)?.as_integer()?;
        u64::try_from(i64::from(value)).ok()
    };
    let (quota, window) = (number("q")?, number("w")?);
    let rate = Rate::new(quota, Duration::from_secs(window));
    let name = name.as_str();
    Some((
        name.to_owned(),
        rate,
        format!("\"{name}\";q={quota};w={window}"),
    ))
}

/// How we write a policy, if it can be one.
fn written(name: &str, rate: Rate) -> Observed {
    let policy = Policy::new(name, rate);
    let text = policy.to_string();
    let built = Limiter::builder().add_policy(policy.with_keys(1)).build();
    built.map(|_| text).map_err(reason)
}

fn canonical(case: &Value) -> Result<String> {
    let texts = match case.get("canonical") {
        Some(_) => case.texts("canonical")?,
        None => case.texts("raw")?,
    };
    Ok(texts
        .first()
        .context("an empty list of lines")?
        .trim()
        .to_owned())
}
