//! Rules of ours, taken apart into what Istio can say.

use crate::callers::{Authentication, Callers};
use crate::condition::{Condition, Fact, Matcher};

/// One list of values of one fact, and whether it is one of them or none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Literal {
    pub(super) fact: Fact,
    pub(super) values: Vec<String>,
    pub(super) negated: bool,
}

/// What has to hold together.
pub(super) type Conjunction = Vec<Literal>;

/// More alternatives than these are nobody's policy.
const MOST: usize = 128;

impl Literal {
    fn one_of(fact: Fact, values: Vec<String>) -> Self {
        Self {
            fact,
            values,
            negated: false,
        }
    }

    fn turned(&self) -> Self {
        Self {
            negated: !self.negated,
            ..self.clone()
        }
    }
}

/// The alternatives of which one has to hold for a caller to be one of these.
pub(super) fn callers(callers: &Callers) -> Result<Vec<Conjunction>, String> {
    let mut all = vec![said_of(callers)?];
    for others in &callers.except {
        all = both(&all, &none(&self::callers(others)?)?)?;
    }
    Ok(all)
}

/// What conditions say.
pub(super) fn conditions(conditions: &[Condition]) -> Conjunction {
    let texts = |matchers: &[Matcher]| -> Vec<String> {
        matchers.iter().map(|it| it.as_str().to_owned()).collect()
    };
    let mut all = Vec::new();
    for condition in conditions {
        let fact = || condition.fact.clone();
        if !condition.one_of.is_empty() {
            all.push(Literal::one_of(fact(), texts(&condition.one_of)));
        }
        if !condition.none_of.is_empty() {
            all.push(Literal::one_of(fact(), texts(&condition.none_of)).turned());
        }
    }
    all
}

/// A text that has no meaning but itself.
pub(super) fn plain(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('*') || text.ends_with('*') {
        true => Err(format!("{text:?} would be a wildcard there")),
        false => Ok(text.to_owned()),
    }
}

fn said_of(callers: &Callers) -> Result<Conjunction, String> {
    let mut all = Vec::new();
    let mut say = |fact: Fact, values: Vec<String>| {
        if !values.is_empty() {
            all.push(Literal::one_of(fact, values));
        }
    };
    let plain_all = |texts: &[Box<str>]| -> Result<Vec<String>, String> {
        texts.iter().map(|text| plain(text)).collect()
    };
    let mut peers: Vec<String> = Vec::new();
    for pattern in &callers.peers {
        peers.push(peer(pattern.as_str())?);
    }
    for domain in &callers.trust_domains {
        peers.extend([domain.to_string(), format!("{domain}/*")]);
    }
    say(Fact::Peer, peers);
    let subjects = callers.subjects.iter().map(|(issuer, subject)| {
        match subject.contains('/') || subject.is_empty() {
            true => Err(format!("the subject {subject:?} is cut at its slash there")),
            false => plain(&format!("{issuer}/{subject}")),
        }
    });
    let subjects: Vec<String> = subjects.collect::<Result<_, String>>()?;
    say(Fact::Principal, subjects);
    say(Fact::Issuer, plain_all(&callers.issuers)?);
    say(Fact::Client, plain_all(&callers.clients)?);
    say(Fact::Scope, plain_all(&callers.any_scope)?);
    for scope in &callers.all_scopes {
        say(Fact::Scope, vec![plain(scope)?]);
    }
    say(Fact::Role, plain_all(&callers.roles)?);
    for claim in &callers.claims {
        let path = vec![claim.name.to_string()];
        say(Fact::Claim(path), plain_all(&claim.values)?);
    }
    let networks = callers.networks.iter().map(ToString::to_string);
    say(Fact::ClientAddress, networks.collect());
    if let Some(authentication) = callers.authentication {
        let anybody = Literal::one_of(Fact::Principal, vec!["*".to_owned()]);
        all.push(match authentication {
            Authentication::Authenticated => anybody,
            Authentication::Anonymous => anybody.turned(),
        });
    }
    all.extend(conditions(&callers.when));
    Ok(all)
}

/// A pattern over peers, as the text that Istio compares with what stands behind `spiffe://`.
fn peer(pattern: &str) -> Result<String, String> {
    let id = pattern.strip_prefix("spiffe://").unwrap_or(pattern);
    let text = match id.strip_suffix("/**") {
        Some(id) => format!("{id}/*"),
        None => id.to_owned(),
    };
    let fixed = text.strip_suffix("/*").filter(|_| id.ends_with("/**"));
    match fixed.unwrap_or(&text).contains('*') {
        true => Err(format!(
            "{pattern:?}: a `*` for one segment cannot be said there"
        )),
        false => Ok(text),
    }
}

/// None of these alternatives.
fn none(alternatives: &[Conjunction]) -> Result<Vec<Conjunction>, String> {
    let mut all = vec![Vec::new()];
    for conjunction in alternatives {
        let one_fails: Vec<_> = conjunction.iter().map(|it| vec![it.turned()]).collect();
        all = both(&all, &one_fails)?;
    }
    Ok(all)
}

fn both(left: &[Conjunction], right: &[Conjunction]) -> Result<Vec<Conjunction>, String> {
    if left.len().saturating_mul(right.len()) > MOST {
        return Err(format!(
            "its exceptions come to more than {MOST} alternatives"
        ));
    }
    let pairs = left
        .iter()
        .flat_map(|one| right.iter().map(move |other| (one, other)));
    Ok(pairs
        .map(|(one, other)| [one.as_slice(), other].concat())
        .collect())
}
