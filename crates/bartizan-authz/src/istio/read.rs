//! One rule of a policy of Istio, as one of ours.

mod targets;

use bartizan_core::SpiffePattern;

use self::targets::targets;
use super::error::{IstioError, IstioErrorKind};
use super::import::Note;
use super::tree::Place;
use crate::callers::Callers;
use crate::condition::{Condition, Fact};
use crate::rule::Rule;

/// What texts are read by.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The mesh's own, and its aliases.
    pub(super) trust_domains: Vec<String>,
    /// The claim that roles are in.
    pub(super) roles: Vec<String>,
    pub(super) every_spelling: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            trust_domains: Vec::new(),
            roles: vec!["roles".to_owned()],
            every_spelling: false,
        }
    }
}

const SOURCE: [&str; 14] = [
    "principals",
    "notPrincipals",
    "requestPrincipals",
    "notRequestPrincipals",
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
    "trustDomains",
    "notTrustDomains",
    "ipBlocks",
    "notIpBlocks",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
];

const OPERATION: [&str; 8] = [
    "methods",
    "notMethods",
    "hosts",
    "notHosts",
    "ports",
    "notPorts",
    "paths",
    "notPaths",
];

impl Terms {
    /// Adds what this rule says to ours; none if it can never apply.
    pub(super) fn read_rule(
        &self,
        mut rule: Rule,
        place: &Place<'_>,
        namespace: &str,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Rule>, IstioError> {
        place.only(&["from", "to", "when"])?;
        for from in place.items("from")? {
            from.only(&["source"])?;
            let source = filled(&from, "source", &SOURCE)?;
            rule = rule.from(self.callers(&source, namespace)?);
        }
        let operations = place.items("to")?;
        let is_bound = !operations.is_empty();
        for to in operations {
            to.only(&["operation"])?;
            let operation = filled(&to, "operation", &OPERATION)?;
            if let Some(targets) = targets(&operation, notes)? {
                rule = rule.to(targets);
            }
        }
        for when in place.items("when")? {
            when.only(&["key", "values", "notValues"])?;
            let key = when.member("key");
            let key = key.ok_or_else(|| when.invalid("a condition has a `key`"))?;
            let fact = self.fact(&key)?;
            let condition = self.condition(fact, &when, ["values", "notValues"], namespace)?;
            let condition =
                condition.ok_or_else(|| when.invalid("a condition has `values` or `notValues`"))?;
            rule = rule.when(condition);
        }
        Ok(if is_bound && rule.to.is_empty() {
            None
        } else {
            Some(rule)
        })
    }

    fn callers(&self, source: &Place<'_>, namespace: &str) -> Result<Callers, IstioError> {
        let mut callers = Callers::anybody();
        // What rules are found by is said by its own name.
        let peers = source.texts("principals")?;
        let peers = self.each_trust_domain(peers.iter().map(|(_, text)| *text));
        let patterns: Option<Vec<_>> = peers.iter().map(|text| peer(text)).collect();
        let is_peers = patterns.as_ref().is_some_and(|it| !it.is_empty());
        for pattern in patterns.into_iter().flatten() {
            callers = callers.or_peer(pattern);
        }
        let people = source.texts("requestPrincipals")?;
        let subjects: Option<Vec<_>> = people.iter().map(|(_, text)| subject(text)).collect();
        let is_people = subjects.as_ref().is_some_and(|it| !it.is_empty());
        for (issuer, subject) in subjects.into_iter().flatten() {
            callers = callers.subject(issuer, subject);
        }
        for (fact, names, is_said) in [
            (Fact::Peer, ["principals", "notPrincipals"], is_peers),
            (
                Fact::Principal,
                ["requestPrincipals", "notRequestPrincipals"],
                is_people,
            ),
            (Fact::Namespace, ["namespaces", "notNamespaces"], false),
            (
                Fact::ServiceAccount,
                ["serviceAccounts", "notServiceAccounts"],
                false,
            ),
            (
                Fact::TrustDomain,
                ["trustDomains", "notTrustDomains"],
                false,
            ),
            (Fact::SourceAddress, ["ipBlocks", "notIpBlocks"], false),
            (
                Fact::ClientAddress,
                ["remoteIpBlocks", "notRemoteIpBlocks"],
                false,
            ),
        ] {
            let names = if is_said { ["", names[1]] } else { names };
            if let Some(condition) = self.condition(fact, source, names, namespace)? {
                callers = callers.when(condition);
            }
        }
        Ok(callers)
    }

    /// The condition that two lists of texts make; none if both are empty.
    fn condition(
        &self,
        fact: Fact,
        place: &Place<'_>,
        [values, others]: [&str; 2],
        namespace: &str,
    ) -> Result<Option<Condition>, IstioError> {
        let (values, others) = (place.texts(values)?, place.texts(others)?);
        if values.is_empty() && others.is_empty() {
            return Ok(None);
        }
        let read = |texts: &[(Place<'_>, &str)]| -> Vec<String> {
            let texts = texts.iter().map(|(_, text)| *text);
            match &fact {
                Fact::Peer => self.each_trust_domain(texts),
                Fact::ServiceAccount => texts
                    .map(|text| match text.contains('/') {
                        true => text.to_owned(),
                        false => format!("{namespace}/{text}"),
                    })
                    .collect(),
                _ => texts.map(str::to_owned).collect(),
            }
        };
        let (one_of, none_of) = (read(&values), read(&others));
        let mut condition = Condition::on(fact);
        for (text, place) in one_of.iter().zip(places(&values)) {
            condition = condition.one_of([text.as_str()]);
            told(&condition, place)?;
        }
        // Where one principal stands for several, all of them are of one place.
        condition = condition.one_of(one_of.iter().skip(values.len()).map(String::as_str));
        for (text, place) in none_of.iter().zip(places(&others)) {
            condition = condition.none_of([text.as_str()]);
            told(&condition, place)?;
        }
        condition = condition.none_of(none_of.iter().skip(others.len()).map(String::as_str));
        told(&condition, place)?;
        Ok(Some(condition))
    }

    /// Principals, of each of the mesh's trust domains if of one.
    fn each_trust_domain<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Vec<String> {
        let mut further = Vec::new();
        let mut all: Vec<String> = Vec::new();
        for text in texts {
            all.push(text.to_owned());
            let Some((domain, path)) = text.split_once('/') else {
                continue;
            };
            let of_mesh = |known: &String| match domain.strip_prefix('*') {
                Some("") => false,
                Some(end) => known.ends_with(end),
                None => known == domain,
            };
            if self.trust_domains.iter().any(of_mesh) {
                let each = self
                    .trust_domains
                    .iter()
                    .map(|known| format!("{known}/{path}"));
                further.extend(each.filter(|it| it != text));
            }
        }
        further.retain(|text| !all.contains(text));
        further.dedup();
        all.extend(further);
        all
    }

    /// What the key of a condition is about.
    fn fact(&self, place: &Place<'_>) -> Result<Fact, IstioError> {
        let key = place.as_text()?;
        let unsupported = |what| Err(place.error(IstioErrorKind::Unsupported(what)));
        Ok(match key {
            "source.ip" => Fact::SourceAddress,
            "remote.ip" => Fact::ClientAddress,
            "source.namespace" => Fact::Namespace,
            "source.principal" => Fact::Peer,
            "source.serviceAccount" => Fact::ServiceAccount,
            "source.trustDomain" => Fact::TrustDomain,
            "request.auth.principal" => Fact::Principal,
            "request.auth.audiences" => Fact::Claim(vec!["aud".to_owned()]),
            "request.auth.presenter" => Fact::Client,
            "destination.ip" => Fact::DestinationAddress,
            "destination.port" => Fact::DestinationPort,
            "connection.sni" => Fact::ServerName,
            _ if key.starts_with("experimental.envoy.filters.") => {
                return unsupported("metadata of Envoy's filters, which are not here");
            }
            _ => {
                if let Some(names) = key.strip_prefix("request.headers") {
                    return match names_in_brackets(names).as_deref() {
                        Some([name]) if name == ":method" => Ok(Fact::Method),
                        Some([name])
                            if name.starts_with(':') || name.eq_ignore_ascii_case("host") =>
                        {
                            unsupported("pseudo header fields; use methods, hosts and paths")
                        }
                        Some([name]) => Ok(Fact::Header(name.clone())),
                        _ => Err(place.invalid("a header is written `request.headers[name]`")),
                    };
                }
                let Some(names) = key.strip_prefix("request.auth.claims") else {
                    return Err(place.invalid(format!("the key {key:?} is not known")));
                };
                let wrong = || place.invalid("a claim is written `request.auth.claims[name]`");
                self.claim(names_in_brackets(names).ok_or_else(wrong)?)
            }
        })
    }

    /// Claims that a principal was made of are asked of the principal.
    fn claim(&self, path: Vec<String>) -> Fact {
        if path == self.roles {
            return Fact::Role;
        }
        let names: Vec<_> = path.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["iss"] => Fact::Issuer,
            ["sub"] => Fact::Subject,
            ["azp"] => Fact::Client,
            ["scope"] => Fact::Scope,
            _ => Fact::Claim(path),
        }
    }
}

fn places<'p, 'd>(texts: &'p [(Place<'d>, &'d str)]) -> impl Iterator<Item = &'p Place<'d>> {
    texts.iter().map(|(place, _)| place)
}

/// What is wrong with a condition, at its place.
fn told(condition: &Condition, place: &Place<'_>) -> Result<(), IstioError> {
    match condition.mistake() {
        Some(problem) => Err(place.invalid(problem)),
        None => Ok(()),
    }
}

/// The member of this name, in which something has to be said: one that says nothing, or lists
/// nothing, would be about everybody.
fn filled<'d>(place: &Place<'d>, name: &str, known: &[&str]) -> Result<Place<'d>, IstioError> {
    let empty = || place.invalid(format!("`{name}` has to say something"));
    let member = place.member(name).ok_or_else(empty)?;
    member.only(known)?;
    let mut says = false;
    for list in known {
        says |= !member.items(list)?.is_empty();
    }
    if says { Ok(member) } else { Err(empty()) }
}

/// The pattern of a principal, if it is one; a text with wildcards elsewhere is none.
fn peer(text: &str) -> Option<SpiffePattern> {
    let (id, rest) = match text.strip_suffix("/*") {
        Some(id) => (id, "/**"),
        None => (text, ""),
    };
    if id.contains('*') {
        return None;
    }
    SpiffePattern::parse(&format!("spiffe://{id}{rest}")).ok()
}

/// Issuer and subject of a request's principal that has no wildcards.
fn subject(text: &str) -> Option<(&str, &str)> {
    let (issuer, subject) = text.rsplit_once('/')?;
    let plain = !text.contains('*') && !issuer.is_empty() && !subject.is_empty();
    plain.then_some((issuer, subject))
}

/// `[a][b]` as names.
fn names_in_brackets(text: &str) -> Option<Vec<String>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let names: Vec<_> = inside.split("][").map(str::to_owned).collect();
    let is_name = |name: &String| !name.is_empty() && !name.contains(['[', ']']);
    names.iter().all(is_name).then_some(names)
}
