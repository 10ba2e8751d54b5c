//! `spiffe-id`: the grammar of SPIFFE IDs, and the files that workloads are given.

use anyhow::{Context, Result};
use bartizan_core::{SpiffeId, SpiffePattern, TrustDomain};
use bartizan_mtls::Identity;
use serde_json::Value;

use crate::material::{Material, Members};
use crate::tally::{Expected, Tally, reason};

/// IDs, trust domains, and which IDs a pattern or trust domain takes in.
pub(crate) fn ids(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    for case in document.list("cases")? {
        let input = case.text("input")?;
        let expected = match case.member("valid")? {
            Value::Bool(true) => Expected::value(meaning(
                case.text("trust_domain")?,
                case.text("path")?,
                input,
            )),
            Value::Bool(false) => Expected::Refused,
            _ => Expected::Either,
        };
        tally.judge(input, expected, || {
            let id = SpiffeId::parse(input).map_err(reason)?;
            Ok(meaning(id.trust_domain(), id.path(), id.as_str()))
        });
    }
    trust_domains(document.member("trust_domain_from_string")?, tally)?;
    matches(document.member("match")?, tally)
}

/// Certificates and keys as files, whatever their dates.
pub(crate) fn svid_files(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let folder = material.beside(document.text("dir")?);
    for case in document.list("cases")? {
        let (chain, key) = (case.text("cert")?, case.text("key")?);
        let expected = if case.member("ok")? == &Value::Bool(true) {
            Expected::value(format!("{} by {}", case.text("id")?, case.number("certs")?))
        } else {
            Expected::Refused
        };
        let mut file = |name| {
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            tally.uses(&*path);
            material.other(&path)
        };
        let (chain_pem, key_pem) = (file(chain)?, file(key)?);
        tally.judge(&format!("{chain} with {key}"), expected, || {
            let identity = Identity::from_pem(&chain_pem, &key_pem).map_err(reason)?;
            let id = identity
                .spiffe_id()
                .map(ToString::to_string)
                .unwrap_or_default();
            Ok(format!("{id} by {}", identity.chain().len()))
        });
    }
    Ok(())
}

fn trust_domains(table: &Value, tally: &mut Tally) -> Result<()> {
    for (list, good) in [("ok", true), ("bad", false)] {
        for name in table.texts(list)? {
            let expected = if good {
                Expected::ACCEPTED
            } else {
                Expected::Refused
            };
            tally.judge(&format!("trust domain of {name:?}"), expected, || {
                // A name and an ID are two types here, where that library takes either text.
                if name.starts_with("spiffe:") {
                    SpiffeId::parse(name)
                        .map(|id| id.trust_domain().to_owned())
                        .map_err(reason)
                } else {
                    TrustDomain::parse(name)
                        .map(|name| name.to_string())
                        .map_err(reason)
                }
            });
        }
    }
    Ok(())
}

fn matches(table: &Value, tally: &mut Tally) -> Result<()> {
    let named = table
        .member("ids")?
        .as_object()
        .context("ids is not an object")?;
    // The zero value of that library has no counterpart: it cannot be made.
    let mut named: Vec<(&str, SpiffeId)> = named
        .iter()
        .filter_map(|(name, id)| Some((name.as_str(), SpiffeId::parse(id.as_str()?).ok()?)))
        .collect();
    named.sort_unstable_by_key(|(name, _)| *name);
    for (matcher, _) in table
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "ids")
    {
        let Some(takes) = matcher_of(matcher, &named) else {
            tally.skip(format!("matcher {matcher}: no pattern takes in everybody"));
            continue;
        };
        let mut wanted = table.texts(matcher)?;
        wanted.sort_unstable();
        let expected = Expected::value(wanted.join(" "));
        tally.judge(&format!("match {matcher}"), expected, || {
            let taken = named.iter().filter(|(_, id)| takes(id));
            Ok(taken.map(|(name, _)| *name).collect::<Vec<_>>().join(" "))
        });
    }
    Ok(())
}

type Matcher = Box<dyn Fn(&SpiffeId) -> bool>;

fn matcher_of(text: &str, named: &[(&str, SpiffeId)]) -> Option<Matcher> {
    match text.split_once(':')? {
        ("exact", id) => {
            let pattern: SpiffePattern = id.parse().ok()?;
            Some(Box::new(move |id| pattern.matches(id)))
        }
        ("member_of", domain) => {
            let domain = TrustDomain::parse(domain).ok()?;
            Some(Box::new(move |id| domain.contains(id)))
        }
        ("one_of", names) => {
            let names = names
                .trim_matches(['[', ']'])
                .split(',')
                .filter(|name| !name.is_empty());
            let id = |name| {
                named
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, id)| id)
            };
            let patterns: Option<Vec<_>> = names
                .map(|name| Some(SpiffePattern::exact(id(name)?)))
                .collect();
            let patterns = patterns?;
            Some(Box::new(move |id| {
                patterns.iter().any(|pattern| pattern.matches(id))
            }))
        }
        _ => None,
    }
}

fn meaning(trust_domain: &str, path: &str, printed: &str) -> String {
    format!("{trust_domain:?} {path:?}, printed {printed:?}")
}
