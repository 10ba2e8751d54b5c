//! The allow-list of peers: whom a service talks to.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bartizan_core::{PeerIdentity, SpiffeId, SpiffePattern, TrustDomain};

use crate::rules::literal_dns_name;

/// A set of peers, never empty.
///
/// It starts with one peer or pattern and grows by `or_…`; there is no way to write "anybody".
/// Whoever is not in it is refused.
///
/// ```
/// use bartizan_mtls::AllowedPeers;
///
/// let allowed = AllowedPeers::id("spiffe://example.org/ns/shop/sa/orders".parse()?)
///     .or_pattern("spiffe://example.org/ns/ops/**".parse()?);
/// assert!(allowed.admits_id(&"spiffe://example.org/ns/ops/sa/backup".parse()?));
/// assert!(!allowed.admits_id(&"spiffe://example.org/ns/shop/sa/payments".parse()?));
/// # Ok::<(), bartizan_core::SpiffeIdError>(())
/// ```
///
/// Cheap to clone.
#[derive(Clone)]
pub struct AllowedPeers(Arc<Set>);

#[derive(Clone, Default)]
struct Set {
    // Looked up by hash, so that a list of a thousand IDs costs what a list of one does.
    exact: HashSet<SpiffeId>,
    dns_names: HashSet<Box<str>>,
    trust_domains: HashSet<TrustDomain>,
    patterns: Vec<SpiffePattern>,
}

impl AllowedPeers {
    /// The workload with this SPIFFE ID.
    pub fn id(id: SpiffeId) -> Self {
        Self(Arc::default()).or_id(id)
    }

    /// The workloads whose SPIFFE ID this pattern matches.
    pub fn pattern(pattern: SpiffePattern) -> Self {
        Self(Arc::default()).or_pattern(pattern)
    }

    /// Every workload of this trust domain.
    pub fn trust_domain(domain: TrustDomain) -> Self {
        Self(Arc::default()).or_trust_domain(domain)
    }

    /// The peer with this DNS name.
    ///
    /// # Errors
    ///
    /// [`NotADnsName`] for a wildcard or anything else that is no literal name.
    pub fn dns_name(name: &str) -> Result<Self, NotADnsName> {
        Self(Arc::default()).or_dns_name(name)
    }

    /// Adds the workload with this SPIFFE ID.
    #[must_use]
    pub fn or_id(mut self, id: SpiffeId) -> Self {
        Arc::make_mut(&mut self.0).exact.insert(id);
        self
    }

    /// Adds the workloads whose SPIFFE ID this pattern matches.
    #[must_use]
    pub fn or_pattern(mut self, pattern: SpiffePattern) -> Self {
        // A pattern without wildcards is an ID.
        if let Ok(id) = SpiffeId::parse(pattern.as_str()) {
            return self.or_id(id);
        }
        Arc::make_mut(&mut self.0).patterns.push(pattern);
        self
    }

    /// Adds every workload of this trust domain.
    #[must_use]
    pub fn or_trust_domain(mut self, domain: TrustDomain) -> Self {
        Arc::make_mut(&mut self.0).trust_domains.insert(domain);
        self
    }

    /// Adds the peer with this DNS name, compared without regard to case.
    ///
    /// # Errors
    ///
    /// [`NotADnsName`] for a wildcard or anything else that is no literal name.
    pub fn or_dns_name(mut self, name: &str) -> Result<Self, NotADnsName> {
        let name = literal_dns_name(name.as_bytes()).ok_or_else(|| NotADnsName(name.into()))?;
        Arc::make_mut(&mut self.0).dns_names.insert(name.into());
        Ok(self)
    }

    /// Whether a peer with this name is in the set. One DNS name of several is enough.
    pub fn admits(&self, identity: &PeerIdentity) -> bool {
        match identity {
            PeerIdentity::Dns(names) => names.iter().any(|name| self.0.dns_names.contains(name)),
            PeerIdentity::Spiffe(id) => self.admits_id(id),
            // A kind of name that this crate does not know is nobody's.
            _ => false,
        }
    }

    /// Whether the workload with this SPIFFE ID is in the set.
    pub fn admits_id(&self, id: &SpiffeId) -> bool {
        self.0.exact.contains(id)
            || self.0.trust_domains.contains(id.trust_domain())
            || self.0.patterns.iter().any(|pattern| pattern.matches(id))
    }

    /// Adds every peer of `other`.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        let set = Arc::make_mut(&mut self.0);
        set.exact.extend(other.0.exact.iter().cloned());
        set.dns_names.extend(other.0.dns_names.iter().cloned());
        set.trust_domains
            .extend(other.0.trust_domains.iter().cloned());
        set.patterns.extend(other.0.patterns.iter().cloned());
        self
    }
}

impl fmt::Debug for AllowedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(&self.0.exact)
            .entries(&self.0.dns_names)
            .entries(&self.0.trust_domains)
            .entries(&self.0.patterns)
            .finish()
    }
}

/// A text that is no literal DNS name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a literal dns name: {0:?}")]
pub struct NotADnsName(Box<str>);

impl NotADnsName {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &AllowedPeers, id: &str, expected: bool) {
        assert_eq!(
            allowed.admits_id(&id.parse().unwrap()),
            expected,
            "{allowed:?} on {id}"
        );
    }

    #[test]
    fn admits_what_is_listed_and_nothing_else() {
        let allowed = AllowedPeers::id("spiffe://a/x".parse().unwrap())
            .or_pattern("spiffe://a/ns/*/sa/b".parse().unwrap())
            .or_pattern("spiffe://a/plain".parse().unwrap())
            .or_trust_domain("partner".parse().unwrap());
        check(&allowed, "spiffe://a/x", true);
        check(&allowed, "spiffe://a/xy", false);
        check(&allowed, "spiffe://a/x/y", false);
        check(&allowed, "spiffe://a/plain", true);
        check(&allowed, "spiffe://a/ns/1/sa/b", true);
        check(&allowed, "spiffe://a/ns/1/sa/c", false);
        check(&allowed, "spiffe://partner/anything", true);
        check(&allowed, "spiffe://sub.partner/anything", false);
        check(&allowed, "spiffe://b/x", false);
    }

    #[test]
    fn a_dns_name_is_not_a_spiffe_id_nor_the_other_way_round() {
        let by_name = AllowedPeers::dns_name("Orders.Example.org").unwrap();
        let by_domain = AllowedPeers::trust_domain("orders.example.org".parse().unwrap());
        let names =
            |names: &[&str]| PeerIdentity::Dns(names.iter().map(|name| Box::from(*name)).collect());
        assert!(by_name.admits(&names(&["other.example.org", "orders.example.org"])));
        assert!(!by_name.admits(&names(&["example.org"])));
        assert!(!by_domain.admits(&names(&["orders.example.org"])));
        check(&by_name, "spiffe://orders.example.org/x", false);
    }

    #[test]
    fn refuses_names_that_are_no_literal_dns_names() {
        for name in [
            "",
            "*.example.org",
            "a..b",
            ".a",
            "a.",
            "a b",
            "ü.de",
            "spiffe://a/b",
        ] {
            assert!(AllowedPeers::dns_name(name).is_err(), "{name}");
        }
    }
}
