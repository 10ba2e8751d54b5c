//! What else a rule asks of a request: conditions on single facts, by text.

mod matcher;

use std::net::IpAddr;

use bartizan_core::Principal;

pub(crate) use self::matcher::Matcher;
use crate::error::PolicyError;
use crate::facts::Facts;

/// What a [`Condition`] is about.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// The authority as the client wrote it, with its port if it wrote one, whatever its case.
    Authority,
    /// A claim of the caller's token, by its name, or by the names that lead to it.
    Claim(Vec<String>),
    /// The OAuth client that holds the credential.
    Client,
    /// The client's address, behind the proxies that are trusted: networks or single addresses.
    ClientAddress,
    /// The address that the connection was made to: networks or single addresses.
    DestinationAddress,
    /// The port that the connection was made to.
    DestinationPort,
    /// A header of the request. Several lines of one name are one value, with commas between; in a
    /// rule that allows, a wildcard has to match each of them as well. Not `host`, which HTTP/2 does
    /// not have: that is [`Authority`](Self::Authority).
    Header(String),
    /// The issuer of the caller's credential.
    Issuer,
    /// The method, as it was sent.
    Method,
    /// What stands behind `/ns/` in the peer's SPIFFE ID and in front of another slash.
    Namespace,
    /// The canonical path; also templates with `{*}` for a segment and `{**}` for any rest.
    Path,
    /// The peer's SPIFFE ID without `spiffe://`. `*` is any peer, also one known by DNS name.
    Peer,
    /// Issuer and subject of the caller's credential with a slash between: the last one counts.
    Principal,
    /// A role of the principal.
    Role,
    /// A scope of the principal.
    Scope,
    /// The name that the client asked for in the TLS handshake, whatever its case.
    ServerName,
    /// Namespace and service account in the peer's SPIFFE ID, `shop/web`. Has no wildcards.
    ServiceAccount,
    /// The far end of the connection, which may be a proxy's: networks or single addresses.
    SourceAddress,
    /// The subject of the caller's credential.
    Subject,
    /// The trust domain of the peer.
    TrustDomain,
}

impl Fact {
    /// The word for it, as files of rules have it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Claim(_) => "claim",
            Self::Client => "client",
            Self::ClientAddress => "client_address",
            Self::DestinationAddress => "destination_address",
            Self::DestinationPort => "destination_port",
            Self::Header(_) => "header",
            Self::Issuer => "issuer",
            Self::Method => "method",
            Self::Namespace => "namespace",
            Self::Path => "path",
            Self::Peer => "peer",
            Self::Principal => "principal",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::ServerName => "server_name",
            Self::ServiceAccount => "service_account",
            Self::SourceAddress => "source_address",
            Self::Subject => "subject",
            Self::TrustDomain => "trust_domain",
        }
    }

    /// Whether nobody without a principal has it.
    pub(crate) fn is_of_principal(&self) -> bool {
        matches!(
            self,
            Self::Claim(_)
                | Self::Client
                | Self::Issuer
                | Self::Principal
                | Self::Role
                | Self::Scope
                | Self::Subject
        )
    }
}

/// How several lines of one header are read, of which nobody knows which one a service reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lines {
    /// One of them is enough, and so are all as one value.
    Any,
    /// All as one value; a wildcard has to match each of them as well.
    Each,
    /// All as one value, as other systems read them.
    Together,
}

/// How the rule of a condition is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) denies: bool,
    pub(crate) exact: bool,
}

impl Reading {
    /// Whether other spellings count as well.
    pub(crate) fn is_loose(self) -> bool {
        self.denies && !self.exact
    }

    /// How several lines of one header are read.
    pub(crate) fn lines(self) -> Lines {
        match (self.exact, self.denies) {
            (true, _) => Lines::Together,
            (false, true) => Lines::Any,
            (false, false) => Lines::Each,
        }
    }

    /// As exceptions from it are meant.
    pub(crate) fn turned(self) -> Self {
        Self {
            denies: !self.denies,
            ..self
        }
    }
}

/// A condition on one fact of a request: one of these values, and none of those.
///
/// A value is a text, with a `*` at its beginning or end for anything that the fact ends or begins
/// with; `*` by itself is any value there is. What has no value (no token, no such header) is none
/// of any values. What cannot be known, such as the far end's address on a Unix socket, is held
/// against the request: a rule that allows does not apply, and one that denies does.
///
/// Prefixes are blunt: `spiffe://example.org/ns/prod*` is also `production`. Prefer
/// [`Callers`](crate::Callers) and [`Targets`](crate::Targets), which know segments, and by which
/// rules are found quickly; a condition is looked at wherever the rest of its rule applies.
///
/// ```
/// use bartizan_authz::{Callers, Condition, Fact, Rule};
///
/// let tenant = Condition::on(Fact::Header("x-tenant".into())).one_of(["acme", "acme-*"]);
/// let rule = Rule::allow("acme's people").from(Callers::authenticated()).when(tenant);
/// # let _ = rule;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a condition has an effect in a rule"]
pub struct Condition {
    pub(crate) fact: Fact,
    pub(crate) one_of: Vec<Matcher>,
    pub(crate) none_of: Vec<Matcher>,
    mistake: Option<(Box<str>, &'static str)>,
}

impl Condition {
    /// A condition on this fact. It takes values to be one.
    pub fn on(fact: Fact) -> Self {
        Self {
            fact,
            one_of: Vec::new(),
            none_of: Vec::new(),
            mistake: None,
        }
    }

    /// It has one of these values; called again, one of those will do too. Mistakes in values are
    /// told when the policy is built.
    pub fn one_of<'v>(mut self, values: impl IntoIterator<Item = &'v str>) -> Self {
        for value in values {
            match Matcher::parse(&self.fact, value) {
                Ok(matcher) => self.one_of.push(matcher),
                Err(problem) => self.mistake = Some((value.into(), problem)),
            }
        }
        self
    }

    /// It has none of these values.
    pub fn none_of<'v>(mut self, values: impl IntoIterator<Item = &'v str>) -> Self {
        for value in values {
            match Matcher::parse(&self.fact, value) {
                Ok(matcher) => self.none_of.push(matcher),
                Err(problem) => self.mistake = Some((value.into(), problem)),
            }
        }
        self
    }

    /// What is wrong with one of its values, if something is.
    #[cfg(feature = "istio")]
    pub(crate) fn mistake(&self) -> Option<String> {
        let (value, problem) = self.mistake.as_ref()?;
        Some(format!("{value:?}: {problem}"))
    }

    pub(crate) fn check(&self, rule: &str) -> Result<(), PolicyError> {
        let wrong = |problem: String| PolicyError::Condition {
            rule: rule.to_owned(),
            problem,
        };
        let is_named = match &self.fact {
            Fact::Claim(path) => !path.is_empty() && path.iter().all(|name| !name.is_empty()),
            Fact::Header(name) => is_header(name),
            _ => true,
        };
        let is_host = matches!(&self.fact, Fact::Header(name) if name.eq_ignore_ascii_case("host"));
        match &self.mistake {
            Some((value, problem)) => Err(wrong(format!("{value:?}: {problem}"))),
            None if !is_named => Err(wrong(format!("{:?} is no name", self.fact))),
            None if is_host => Err(wrong(
                "HTTP/2 has no header `host`: what both versions name is the fact `authority`"
                    .into(),
            )),
            None if self.one_of.is_empty() && self.none_of.is_empty() => Err(wrong(format!(
                "{:?} has no values to be compared with",
                self.fact
            ))),
            None => Ok(()),
        }
    }

    /// Whether it asks for something that nobody without a principal has.
    pub(crate) fn needs_principal(&self) -> bool {
        self.fact.is_of_principal() && !self.one_of.is_empty()
    }

    /// Whether it holds for this request.
    pub(crate) fn holds(&self, facts: &Facts<'_>, reading: Reading) -> bool {
        // Unknown is held against the request, so that a denial applies.
        let is_one = |matchers: &[Matcher], reading: Reading| {
            let seen = self.is_among(matchers, facts, reading);
            seen.unwrap_or(reading.denies)
        };
        (self.one_of.is_empty() || is_one(&self.one_of, reading))
            && (self.none_of.is_empty() || !is_one(&self.none_of, reading.turned()))
    }

    /// Whether one of these matches; `None` if that cannot be known.
    fn is_among(&self, matchers: &[Matcher], facts: &Facts<'_>, reading: Reading) -> Option<bool> {
        let text = |text: &str| matchers.iter().any(|matcher| matcher.is_text(text));
        let within = |address: IpAddr| matchers.iter().any(|matcher| matcher.is_within(address));
        let of_principal =
            |get: fn(&Principal) -> Option<&str>| facts.principal.and_then(get).is_some_and(text);
        Some(match &self.fact {
            Fact::Authority => facts.authority.or(facts.host).is_some_and(text),
            Fact::Claim(path) => facts.has_claim_like(path, text),
            Fact::Client => of_principal(Principal::client),
            Fact::ClientAddress => within(facts.address?),
            // A service that listens on every address says of none that it was meant.
            Fact::DestinationAddress => match facts.destination?.ip() {
                address if address.is_unspecified() => return None,
                address => within(address),
            },
            Fact::DestinationPort => {
                let port = facts.destination?.port();
                matchers.iter().any(|matcher| matcher.is_port(port))
            }
            Fact::Header(name) => facts.has_header(
                name,
                reading.lines(),
                |value| matchers.iter().any(|matcher| matcher.is_bytes(value)),
                |value| matchers.iter().any(|matcher| matcher.is_exactly(value)),
            )?,
            Fact::Issuer => of_principal(|principal| Some(principal.issuer())),
            Fact::Method => matchers
                .iter()
                .any(|matcher| matcher.is_method(facts.method, reading.is_loose())),
            Fact::Path => matchers.iter().any(|matcher| matcher.is_path(facts.path)),
            Fact::Namespace if facts.namespace.is_some() => {
                let behind = facts.namespace.unwrap_or_default();
                matchers.iter().any(|matcher| matcher.is_behind(behind))
            }
            Fact::Namespace | Fact::Peer | Fact::ServiceAccount | Fact::TrustDomain => facts
                .peer
                .is_some_and(|peer| matchers.iter().any(|matcher| matcher.is_peer(peer))),
            Fact::Principal => facts.principal.is_some_and(|principal| {
                matchers
                    .iter()
                    .any(|matcher| matcher.is_principal(principal))
            }),
            Fact::Role => facts.principal.is_some_and(|it| it.roles().any(text)),
            Fact::Scope => facts.principal.is_some_and(|it| it.scopes().any(text)),
            Fact::SourceAddress => within(facts.source?),
            Fact::ServerName => match facts.server_name? {
                "" => false,
                name => text(name),
            },
            Fact::Subject => of_principal(|principal| Some(principal.subject())),
        })
    }
}

/// Whether a text is a header's name ([RFC 9110 §5.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.1)).
fn is_header(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
