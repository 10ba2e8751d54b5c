//! Conditions as text.

use serde::Deserialize;

use crate::condition::{Condition, Fact};
use crate::error::PolicyError;

/// Facts that are told by a word alone.
pub(super) const WORDS: [(&str, Fact); 18] = [
    ("authority", Fact::Authority),
    ("client", Fact::Client),
    ("client_address", Fact::ClientAddress),
    ("destination_address", Fact::DestinationAddress),
    ("destination_port", Fact::DestinationPort),
    ("issuer", Fact::Issuer),
    ("method", Fact::Method),
    ("namespace", Fact::Namespace),
    ("path", Fact::Path),
    ("peer", Fact::Peer),
    ("principal", Fact::Principal),
    ("role", Fact::Role),
    ("scope", Fact::Scope),
    ("server_name", Fact::ServerName),
    ("service_account", Fact::ServiceAccount),
    ("source_address", Fact::SourceAddress),
    ("subject", Fact::Subject),
    ("trust_domain", Fact::TrustDomain),
];

/// One of three says which fact it is.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConditionText {
    fact: Option<String>,
    header: Option<String>,
    claim: Option<Vec<String>>,
    one_of: Vec<String>,
    none_of: Vec<String>,
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
                let known = WORDS.iter().find(|(known, _)| **known == word);
                let (_, fact) = known.ok_or_else(|| {
                    let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
                    wrong(format!("{word:?} is none of {}", words.join(", ")))
                })?;
                fact.clone()
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
