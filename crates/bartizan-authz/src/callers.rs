//! Who a rule is about.

use bartizan_core::{IpNetwork, SpiffePattern, TrustDomain};

use crate::condition::{Condition, Reading};
use crate::error::PolicyError;
use crate::facts::Facts;

/// A set of callers: everything that is said of them must hold; of several values of one kind,
/// one is enough.
///
/// Nothing said is everybody, also who proved nothing.
///
/// ```
/// use bartizan_authz::Callers;
///
/// // The workload `web`, for users who may read orders or are clerks.
/// let callers = Callers::peer("spiffe://example.org/web".parse()?).scope("orders:read");
/// # let _ = callers;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "callers have an effect in a rule"]
pub struct Callers {
    pub(crate) peers: Vec<SpiffePattern>,
    pub(crate) trust_domains: Vec<TrustDomain>,
    pub(crate) issuers: Vec<Box<str>>,
    pub(crate) subjects: Vec<(Box<str>, Box<str>)>,
    pub(crate) clients: Vec<Box<str>>,
    pub(crate) any_scope: Vec<Box<str>>,
    /// One of no scopes was asked for, which nobody has.
    any_of_no_scopes: bool,
    pub(crate) all_scopes: Vec<Box<str>>,
    pub(crate) roles: Vec<Box<str>>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) networks: Vec<IpNetwork>,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) when: Vec<Condition>,
    pub(crate) except: Vec<Self>,
}

/// A claim, and the values of which one is enough.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) name: Box<str>,
    pub(crate) values: Box<[Box<str>]>,
}

/// Whether a principal is there at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Authentication {
    Anonymous,
    Authenticated,
}

impl Callers {
    /// Everybody, also who proved nothing.
    pub fn anybody() -> Self {
        Self::default()
    }

    /// Whoever acts for a principal, whichever it is.
    pub fn authenticated() -> Self {
        Self {
            authentication: Some(Authentication::Authenticated),
            ..Self::default()
        }
    }

    /// Whoever acts for nobody.
    pub fn anonymous() -> Self {
        Self {
            authentication: Some(Authentication::Anonymous),
            ..Self::default()
        }
    }

    /// The workloads whose SPIFFE ID this pattern matches; an ID is a pattern too.
    pub fn peer(pattern: SpiffePattern) -> Self {
        Self::default().or_peer(pattern)
    }

    /// The workloads of this trust domain.
    pub fn trust_domain(domain: TrustDomain) -> Self {
        Self::default().or_trust_domain(domain)
    }

    /// Also the workloads whose SPIFFE ID this pattern matches.
    pub fn or_peer(mut self, pattern: SpiffePattern) -> Self {
        self.peers.push(pattern);
        self
    }

    /// Also the workloads of this trust domain.
    pub fn or_trust_domain(mut self, domain: TrustDomain) -> Self {
        self.trust_domains.push(domain);
        self
    }

    /// Only principals of this issuer; called again, of that one too.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Only this principal; called again, that one too. A subject means nothing without its
    /// issuer ([RFC 9068 §5](https://www.rfc-editor.org/rfc/rfc9068#section-5)).
    pub fn subject(mut self, issuer: &str, subject: &str) -> Self {
        self.subjects.push((issuer.into(), subject.into()));
        self
    }

    /// Only credentials that this OAuth client holds; called again, that one too.
    pub fn client(mut self, client: &str) -> Self {
        self.clients.push(client.into());
        self
    }

    /// Only principals with this scope; called again, with that one as well.
    pub fn scope(mut self, scope: &str) -> Self {
        self.all_scopes.push(scope.into());
        self
    }

    /// Only principals with one of these scopes. None at all is a mistake, which is told when the
    /// policy is built: it would be nobody, and must not come to be anybody.
    pub fn any_scope<'s>(mut self, scopes: impl IntoIterator<Item = &'s str>) -> Self {
        let before = self.any_scope.len();
        self.any_scope.extend(scopes.into_iter().map(Box::from));
        self.any_of_no_scopes |= self.any_scope.len() == before;
        self
    }

    /// Only principals with this role; called again, that one will do too.
    pub fn role(mut self, role: &str) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Only whose token carries this claim with one of these values. The layer must be told how
    /// to [read claims](crate::AuthzConfigBuilder::with_claims); without, the rule is about nobody.
    pub fn claim<'v>(mut self, name: &str, values: impl IntoIterator<Item = &'v str>) -> Self {
        let values = values.into_iter().map(Box::from).collect();
        self.claims.push(Claim {
            name: name.into(),
            values,
        });
        self
    }

    /// Only clients of this network; called again, of that one too. A client whose address is not
    /// known is in no network that is allowed, and in every one that is denied.
    pub fn network(mut self, network: IpNetwork) -> Self {
        self.networks.push(network);
        self
    }

    /// Only if this holds; called again, that as well.
    pub fn when(mut self, condition: Condition) -> Self {
        self.when.push(condition);
        self
    }

    /// But not these.
    pub fn except(mut self, others: Self) -> Self {
        self.except.push(others);
        self
    }

    /// Whether the request's caller is one of them.
    pub(crate) fn include(&self, facts: &Facts<'_>, reading: Reading) -> bool {
        self.include_peer(facts)
            && self.include_principal(facts)
            && self.include_address(facts, reading)
            && self
                .claims
                .iter()
                .all(|claim| facts.has_claim(&claim.name, &claim.values))
            && self
                .when
                .iter()
                .all(|condition| condition.holds(facts, reading))
            && !self
                .except
                .iter()
                .any(|others| others.include(facts, reading.turned()))
    }

    /// What of them does not hold, but for conditions and exceptions.
    pub(crate) fn missing_parts(&self, facts: &Facts<'_>, reading: Reading) -> Vec<&'static str> {
        let has_claim = |claim: &Claim| facts.has_claim(&claim.name, &claim.values);
        let parts = [
            ("peer", self.include_peer(facts)),
            ("principal", self.include_principal(facts)),
            ("network", self.include_address(facts, reading)),
            ("claim", self.claims.iter().all(has_claim)),
        ];
        let missing = parts.into_iter().filter(|(_, holds)| !holds);
        missing.map(|(part, _)| part).collect()
    }

    fn include_address(&self, facts: &Facts<'_>, reading: Reading) -> bool {
        let within = |address| self.networks.iter().any(|net| net.contains(address));
        // An address that is not known is held against the request.
        self.networks.is_empty() || facts.address.map_or(reading.denies, within)
    }

    fn include_peer(&self, facts: &Facts<'_>) -> bool {
        if self.peers.is_empty() && self.trust_domains.is_empty() {
            return true;
        }
        let Some(id) = facts.peer.and_then(|peer| peer.spiffe_id()) else {
            return false;
        };
        self.peers.iter().any(|pattern| pattern.matches(id))
            || self.trust_domains.iter().any(|domain| domain.contains(id))
    }

    fn include_principal(&self, facts: &Facts<'_>) -> bool {
        let Some(principal) = facts.principal else {
            return !self.need_principal();
        };
        let one_of = |wanted: &[Box<str>], seen: Option<&str>| {
            wanted.is_empty() || wanted.iter().any(|wanted| Some(&**wanted) == seen)
        };
        self.authentication != Some(Authentication::Anonymous)
            && one_of(&self.issuers, Some(principal.issuer()))
            && one_of(&self.clients, principal.client())
            && (self.subjects.is_empty()
                || self.subjects.iter().any(|(issuer, subject)| {
                    **subject == *principal.subject() && **issuer == *principal.issuer()
                }))
            && (self.any_scope.is_empty()
                || self
                    .any_scope
                    .iter()
                    .any(|scope| principal.has_scope(scope)))
            && self
                .all_scopes
                .iter()
                .all(|scope| principal.has_scope(scope))
            && (self.roles.is_empty() || self.roles.iter().any(|role| principal.has_role(role)))
    }

    /// Whether nobody without a principal is one of them.
    pub(crate) fn need_principal(&self) -> bool {
        self.authentication == Some(Authentication::Authenticated)
            || !(self.issuers.is_empty()
                && self.subjects.is_empty()
                && self.clients.is_empty()
                && self.any_scope.is_empty()
                && self.all_scopes.is_empty()
                && self.roles.is_empty()
                && self.claims.is_empty()
                && !self.when.iter().any(Condition::needs_principal))
    }

    /// Whether one of them, or an exception, is told by a claim.
    pub(crate) fn ask_claims(&self) -> bool {
        !self.claims.is_empty() || self.except.iter().any(Self::ask_claims)
    }

    /// All conditions, also those of exceptions.
    pub(crate) fn visit_conditions(&self, visit: &mut dyn FnMut(&Condition)) {
        self.when.iter().for_each(&mut *visit);
        self.except
            .iter()
            .for_each(|others| others.visit_conditions(visit));
    }

    /// Whether the request's caller would be one of them with the right principal.
    pub(crate) fn wait_for_principal(&self, facts: &Facts<'_>, reading: Reading) -> bool {
        self.authentication != Some(Authentication::Anonymous)
            && self.include_peer(facts)
            && self.include_address(facts, reading)
            && self
                .when
                .iter()
                .all(|it| it.fact.is_of_principal() || it.holds(facts, reading))
    }

    /// Says what cannot be meant, wherever in them it stands: what nobody can be lets nobody in,
    /// and as an exception leaves nobody out.
    pub(crate) fn check(&self, rule: &str) -> Result<(), PolicyError> {
        self.check_as(rule, "nobody can be one of its callers")
    }

    fn check_as(&self, rule: &str, problem: &'static str) -> Result<(), PolicyError> {
        if self.contradict() {
            return Err(PolicyError::Rule {
                rule: rule.to_owned(),
                problem,
            });
        }
        self.when.iter().try_for_each(|it| it.check(rule))?;
        let mut except = self.except.iter();
        except.try_for_each(|it| it.check_as(rule, "nobody can be one of its exceptions"))
    }

    /// Whether they say something that nobody can be.
    fn contradict(&self) -> bool {
        let anonymous = self.authentication == Some(Authentication::Anonymous);
        let lists_nothing = self.claims.iter().any(|claim| claim.values.is_empty());
        (anonymous && self.need_principal()) || lists_nothing || self.any_of_no_scopes
    }
}
