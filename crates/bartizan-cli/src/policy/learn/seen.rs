//! What a log has seen, by caller and route.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) callers: BTreeMap<Caller, Usage>,
    pub(super) requests: u64,
    pub(super) refused: u64,
    pub(super) without_route: u64,
    pub(super) other_peers: u64,
}

impl Seen {
    /// How many requests were of callers who proved nothing.
    pub(super) fn anonymous(&self) -> u64 {
        let anonymous = self
            .callers
            .iter()
            .filter(|(caller, _)| caller.is_anonymous());
        anonymous
            .map(|(_, usage)| usage.routes.values().sum::<u64>())
            .sum()
    }
}

/// Callers that one rule is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Caller {
    pub(super) peer: Option<String>,
    pub(super) authenticated: bool,
    pub(super) issuer: Option<String>,
    pub(super) client: Option<String>,
}

impl Caller {
    pub(super) fn is_anonymous(&self) -> bool {
        self.peer.is_none() && !self.authenticated
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer.as_deref();
        let peer = peer.map(|id| id.strip_prefix("spiffe://").unwrap_or(id));
        let principal = self.client.as_deref().or(self.issuer.as_deref());
        match (
            peer,
            principal.or(self.authenticated.then_some("principals")),
        ) {
            (Some(peer), Some(principal)) => write!(f, "{peer} for {principal}"),
            (Some(text), None) | (None, Some(text)) => f.write_str(text),
            (None, None) => f.write_str("anybody"),
        }
    }
}

/// What such callers have used.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) subjects: BTreeSet<String>,
    routes: BTreeMap<(String, String), u64>,
}

impl Usage {
    /// The method of a gRPC call stands in a record without the slash in front of it.
    pub(super) fn path(template: &str) -> String {
        match template.starts_with('/') {
            true => template.to_owned(),
            false => format!("/{template}"),
        }
    }

    pub(super) fn add(&mut self, template: &str, method: &str) {
        let template = Self::path(template);
        *self
            .routes
            .entry((template, method.to_owned()))
            .or_default() += 1;
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = (&(String, String), &u64)> {
        self.routes.iter()
    }

    /// The templates that were used with the same methods.
    pub(super) fn by_methods(&self) -> BTreeMap<BTreeSet<&str>, BTreeSet<&str>> {
        let mut methods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (template, method) in self.routes.keys() {
            methods.entry(template).or_default().insert(method);
        }
        let mut all: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for (template, methods) in methods {
            all.entry(methods).or_default().insert(template);
        }
        all
    }
}
