//! One attack: what it is called, what it does, and what a service owes it.

use std::fmt;

use serde::Serialize;

use crate::given::{Given, Need};
use crate::volley::Volley;
use crate::{bodies, certificates, headers, order, protocol, tokens};

/// What an attack is aimed at.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// What a request carries: sizes, depths, types and framing.
    Bodies,
    /// Who connects: client certificates, and headers that claim to speak of them.
    Certificates,
    /// Header fields: identities, addresses, and fields that are none.
    Headers,
    /// Which layer stands in front of which, seen from outside.
    Order,
    /// HTTP/1.1, HTTP/2 and gRPC themselves, and the spelling of paths and methods.
    Protocol,
    /// What proves whom a request acts for.
    Tokens,
}

impl Class {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 6] = [
        Self::Tokens,
        Self::Certificates,
        Self::Headers,
        Self::Bodies,
        Self::Protocol,
        Self::Order,
    ];

    /// Its name: `tokens`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bodies => "bodies",
            Self::Certificates => "certificates",
            Self::Headers => "headers",
            Self::Order => "order",
            Self::Protocol => "protocol",
            Self::Tokens => "tokens",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a service that holds answers an attack. A failure of its own (5xx, a panic, a service that
/// does not answer its control request any more) keeps none of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Answered or refused, as the service likes: it goes on, and repeats nothing that was planted.
    Harmless,
    /// Somewhere in a series of requests, the service says that there were too many.
    Limited,
    /// At most one request on the connection is done.
    OneAnswer,
    /// Refused: 3xx, 4xx, a status of gRPC that says so, a connection that ends, or an answer
    /// that says when to come back because nobody can tell now (503, or `UNAVAILABLE`).
    Refused,
    /// All requests of the attack are answered with the same status.
    SameAnswer,
}

impl Promise {
    fn text(self) -> &'static str {
        match self {
            Self::Harmless => "no failure, and nothing planted comes back",
            Self::Limited => "refused in the end as too many",
            Self::OneAnswer => "one request done at most",
            Self::Refused => "refused",
            Self::SameAnswer => "the same answer to each",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// How an attack is made from what is known of a service.
pub(crate) type Build = fn(&Given<'_>) -> Result<Volley, Need>;

/// A named attack. A sweep over one parameter is one attack.
#[derive(Clone, Copy)]
pub struct Attack {
    class: Class,
    name: &'static str,
    description: &'static str,
    reference: &'static str,
    promise: Promise,
    build: Build,
}

impl Attack {
    pub(crate) const fn new(
        class: Class,
        name: &'static str,
        description: &'static str,
        reference: &'static str,
        build: Build,
    ) -> Self {
        Self {
            class,
            name,
            description,
            reference,
            promise: Promise::Refused,
            build,
        }
    }

    pub(crate) const fn promising(mut self, promise: Promise) -> Self {
        self.promise = promise;
        self
    }

    /// What it is aimed at.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its name, which does not change from release to release: `token.alg-none`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it does, in one sentence.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// Where the weakness or the rule against it is written down: an RFC, a CWE, a CVE.
    pub fn reference(&self) -> Option<&'static str> {
        (!self.reference.is_empty()).then_some(self.reference)
    }

    /// What a service that holds does.
    pub fn promise(&self) -> Promise {
        self.promise
    }

    pub(crate) fn build(&self, given: &Given<'_>) -> Result<Volley, Need> {
        (self.build)(given)
    }
}

impl fmt::Debug for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attack")
            .field("name", &self.name)
            .field("description", &self.description)
            .field("reference", &self.reference)
            .field("promise", &self.promise)
            .finish_non_exhaustive()
    }
}

/// Every attack that there is, class by class.
///
/// ```
/// let named: Vec<_> = bartizan_attack::attacks().map(|attack| attack.name()).collect();
/// assert!(named.len() >= 300 && named.contains(&"token.alg-none"));
/// ```
pub fn attacks() -> impl Iterator<Item = &'static Attack> {
    let families = [
        tokens::FAMILIES,
        certificates::FAMILIES,
        headers::FAMILIES,
        bodies::FAMILIES,
        protocol::FAMILIES,
        order::FAMILIES,
    ];
    families.into_iter().flatten().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_three_hundred_attacks_of_different_names() {
        let names: BTreeSet<_> = attacks().map(Attack::name).collect();
        assert_eq!(names.len(), attacks().count());
        assert!(names.len() >= 300, "{}", names.len());
    }

    #[test]
    fn each_has_a_name_of_its_class_and_a_sentence_of_its_own() {
        let mut sentences = BTreeSet::new();
        for attack in attacks() {
            let (prefix, rest) = attack.name().split_once('.').unwrap();
            let expected = match attack.class() {
                Class::Bodies => "body",
                Class::Certificates => "certificate",
                Class::Headers => "header",
                Class::Order => "order",
                Class::Protocol => "protocol",
                Class::Tokens => "token",
            };
            assert_eq!(prefix, expected, "{attack:?}");
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            assert!(rest.bytes().all(plain), "{attack:?}");
            assert!(sentences.insert(attack.description()), "{attack:?}");
            assert!(!attack.description().ends_with('.'), "{attack:?}");
        }
    }

    #[test]
    fn every_class_has_attacks() {
        for class in Class::ALL {
            let count = attacks().filter(|it| it.class() == class).count();
            assert!(count >= 20, "{class}: {count}");
        }
    }
}
