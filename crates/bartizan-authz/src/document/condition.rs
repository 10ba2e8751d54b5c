//! Conditions as text.

use serde::Deserialize;

use super::list::List;
use crate::condition::{Condition, Fact};
use crate::error::PolicyError;

/// Facts that are told by a word alone.
const FACTS: [Fact; 18] = [
    Fact::Authority,
    Fact::Client,
    Fact::ClientAddress,
    Fact::DestinationAddress,
    Fact::DestinationPort,
    Fact::Issuer,
    Fact::Method,
    Fact::Namespace,
    Fact::Path,
    Fact::Peer,
    Fact::Principal,
    Fact::Role,
    Fact::Scope,
    Fact::ServerName,
    Fact::ServiceAccount,
    Fact::SourceAddress,
    Fact::Subject,
    Fact::TrustDomain,
];

/// One of three says which fact it is.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConditionText {
    fact: Option<String>,
    header: Option<String>,
    claim: Option<Vec<String>>,
    one_of: List<String>,
    none_of: List<String>,
}

impl ConditionText {
    pub(super) fn read(self, rule: &str) -> Result<Condition, PolicyError> {
        let wrong = |problem: String| PolicyError::Condition {
            rule: rule.to_owned(),
            problem,
        };
        let fact = match (self.fact, self.header, self.claim) {
            (None, Some(name), None) => Fact::Header(name),
            (None, None, Some(path)) => Fact::Claim(path),
            (Some(word), None, None) => {
                let known = FACTS.iter().find(|fact| fact.word() == word);
                known.cloned().ok_or_else(|| {
                    let words: Vec<_> = FACTS.iter().map(Fact::word).collect();
                    wrong(format!("{word:?} is none of {}", words.join(", ")))
                })?
            }
            _ => {
                return Err(wrong(
                    "a condition has one of `fact`, `header` and `claim`".into(),
                ));
            }
        };
        Ok(Condition::on(fact)
            .one_of(self.one_of.iter().map(String::as_str))
            .none_of(self.none_of.iter().map(String::as_str)))
    }
}
