//! Rules about every path, by what their callers must have.

use rustc_hash::FxHashMap;

use crate::callers::Callers;
use crate::facts::Facts;
use crate::index::Clause;

type By = FxHashMap<Box<str>, Vec<Clause>>;

/// Rules by one thing that each of their callers has. Rules that ask for none of these are with
/// everybody, and looked at for each request.
#[derive(Debug, Default)]
pub(crate) struct CallerIndex {
    peers: By,
    trust_domains: By,
    subjects: By,
    issuers: By,
    clients: By,
    scopes: By,
    roles: By,
    everybody: Vec<Clause>,
}

impl CallerIndex {
    /// Adds a clause of a rule about these callers.
    pub(crate) fn add(&mut self, from: &[Callers], clause: Clause) {
        if from.is_empty() || from.iter().any(|callers| handle(callers).is_none()) {
            self.everybody.push(clause);
            return;
        }
        for (kind, keys) in from.iter().filter_map(handle) {
            let by = match kind {
                Kind::Peer => &mut self.peers,
                Kind::TrustDomain => &mut self.trust_domains,
                Kind::Subject => &mut self.subjects,
                Kind::Issuer => &mut self.issuers,
                Kind::Client => &mut self.clients,
                Kind::Scope => &mut self.scopes,
                Kind::Role => &mut self.roles,
            };
            for key in keys {
                let clauses = by.entry(key).or_default();
                if !clauses.contains(&clause) {
                    clauses.push(clause);
                }
            }
        }
    }

    /// Calls `visit` with each clause that may apply to this caller, until it says true; says
    /// whether it did. A clause may be visited twice.
    pub(crate) fn find(&self, facts: &Facts<'_>, mut visit: impl FnMut(Clause) -> bool) -> bool {
        let mut of = |by: &By, key: &str| {
            !by.is_empty()
                && by
                    .get(key)
                    .is_some_and(|clauses| clauses.iter().any(|clause| visit(*clause)))
        };
        let id = facts.peer.and_then(|peer| peer.spiffe_id());
        if let Some(id) = id
            && (of(&self.peers, id.as_str()) || of(&self.trust_domains, id.trust_domain()))
        {
            return true;
        }
        if let Some(principal) = facts.principal {
            let client = principal.client();
            if of(&self.subjects, principal.subject())
                || of(&self.issuers, principal.issuer())
                || client.is_some_and(|client| of(&self.clients, client))
                || (!self.scopes.is_empty() && principal.scopes().any(|it| of(&self.scopes, it)))
                || (!self.roles.is_empty() && principal.roles().any(|it| of(&self.roles, it)))
            {
                return true;
            }
        }
        self.everybody.iter().any(|clause| visit(*clause))
    }

    /// Every clause, whoever it is about. Some come more than once.
    pub(crate) fn all(&self) -> impl Iterator<Item = Clause> {
        [
            &self.peers,
            &self.trust_domains,
            &self.subjects,
            &self.issuers,
            &self.clients,
            &self.scopes,
            &self.roles,
        ]
        .into_iter()
        .flat_map(|by| by.values().flatten())
        .chain(&self.everybody)
        .copied()
    }
}

enum Kind {
    Peer,
    TrustDomain,
    Subject,
    Issuer,
    Client,
    Scope,
    Role,
}

/// What each of these callers has one of: the rarest kind of thing that they are told by.
fn handle(callers: &Callers) -> Option<(Kind, Vec<Box<str>>)> {
    let copied = |texts: &[Box<str>]| texts.to_vec();
    let by_peer = !callers.peers.is_empty() || !callers.trust_domains.is_empty();
    let exact = callers
        .peers
        .iter()
        .all(|peer| !peer.as_str().contains('*'));
    Some(if !callers.subjects.is_empty() {
        let subjects = callers.subjects.iter();
        (
            Kind::Subject,
            subjects.map(|(_, subject)| subject.clone()).collect(),
        )
    } else if by_peer && exact && callers.trust_domains.is_empty() {
        let peers = callers.peers.iter();
        (Kind::Peer, peers.map(|peer| peer.as_str().into()).collect())
    } else if !callers.clients.is_empty() {
        (Kind::Client, copied(&callers.clients))
    } else if let Some(scope) = callers.all_scopes.first() {
        (Kind::Scope, vec![scope.clone()])
    } else if !callers.any_scope.is_empty() {
        (Kind::Scope, copied(&callers.any_scope))
    } else if !callers.roles.is_empty() {
        (Kind::Role, copied(&callers.roles))
    } else if by_peer {
        let domains = callers.trust_domains.iter().map(|domain| domain.as_str());
        let domains = domains.chain(callers.peers.iter().map(|peer| peer.trust_domain()));
        (Kind::TrustDomain, domains.map(Box::from).collect())
    } else if !callers.issuers.is_empty() {
        (Kind::Issuer, copied(&callers.issuers))
    } else {
        return None;
    })
}
