//! Trust: which roots vouch for which names.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_core::{PeerIdentity, TrustDomain, VerifiedCertificate, WallTime};
use rustls_pki_types::CertificateDer;

use crate::crypto::{Algorithms, RING_ALGORITHMS};
use crate::identity::Identity;
use crate::roots::Roots;
use crate::rules::Role;
use crate::svid_error::SvidError;
use crate::verify::{verify_dns_with, verify_svid_with};

/// The roots of each trust domain, kept apart.
///
/// A certificate is checked against the roots of the trust domain that its own SPIFFE ID names,
/// and against no others: a partner's certificate authority can then issue names of the partner,
/// and never one of ours. A trust domain without roots here is not trusted at all.
///
/// ```
/// use bartizan_mtls::TrustBundles;
///
/// let bundles = TrustBundles::new();
/// assert_eq!(bundles.roots_of("example.org").map(|roots| roots.len()), None);
/// ```
///
/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrustBundles(Arc<HashMap<TrustDomain, Roots>>);

impl TrustBundles {
    /// No bundles: nobody is trusted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the roots of one trust domain, in place of any that it had.
    ///
    /// This is also how a federated partner is admitted: by the name that *you* know the partner
    /// by, never by one taken from a certificate.
    #[must_use]
    pub fn with_bundle(mut self, domain: TrustDomain, roots: Roots) -> Self {
        Arc::make_mut(&mut self.0).insert(domain, roots);
        self
    }

    /// The roots of a trust domain, if it has a bundle.
    pub fn roots_of(&self, domain: &str) -> Option<&Roots> {
        self.0.get(domain)
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.len() == other.0.len()
                && self.0.iter().all(|(domain, roots)| {
                    other
                        .0
                        .get(domain)
                        .is_some_and(|other| roots.is_same(other))
                }))
    }

    /// The trust domains that have a bundle, in no order.
    pub fn trust_domains(&self) -> impl Iterator<Item = &TrustDomain> {
        self.0.keys()
    }
}

/// What a workload believes about the far end: the kind of name, and the roots that vouch for it.
///
/// A workload believes names of one kind. There is no falling back from one kind to the other: a
/// certificate without a SPIFFE ID is not tried as a DNS certificate, nor the other way round.
#[derive(Clone, Debug)]
pub struct Trust(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Dns(Roots),
    Spiffe(TrustBundles),
}

impl Trust {
    /// Peers are named by SPIFFE IDs in X509-SVIDs.
    pub fn spiffe(bundles: TrustBundles) -> Self {
        Self(Kind::Spiffe(bundles))
    }

    /// Peers are named by the DNS names in their certificates, as in a PKI without SPIFFE.
    ///
    /// All names rest on one set of roots: whoever holds one of these authorities can claim any
    /// name. Prefer SPIFFE where partners have authorities of their own.
    pub fn dns(roots: Roots) -> Self {
        Self(Kind::Dns(roots))
    }

    /// The bundles that vouch for SPIFFE IDs, unless peers are named by DNS names.
    pub fn bundles(&self) -> Option<&TrustBundles> {
        match &self.0 {
            Kind::Dns(_) => None,
            Kind::Spiffe(bundles) => Some(bundles),
        }
    }

    /// Verifies a chain, leaf first, under the rules of this kind of name.
    ///
    /// # Errors
    ///
    /// [`SvidError`] names the first rule that the chain breaks.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
        now: WallTime,
    ) -> Result<VerifiedCertificate, SvidError> {
        self.verify_with(RING_ALGORITHMS, chain, role, now)
    }

    /// As [`verify`](Self::verify), with signatures of these algorithms.
    pub(crate) fn verify_with(
        &self,
        algorithms: Algorithms,
        chain: &[CertificateDer<'_>],
        role: Role,
        now: WallTime,
    ) -> Result<VerifiedCertificate, SvidError> {
        match &self.0 {
            Kind::Dns(roots) => verify_dns_with(algorithms, chain, roots, role, now),
            Kind::Spiffe(bundles) => verify_svid_with(algorithms, chain, bundles, role, now),
        }
    }

    /// Whether an identity of ours is one that we would believe ourselves, so far as we have
    /// roots for its kind: the domain of an X509-SVID may be missing, and a DNS identity often
    /// has another issuer than its clients.
    ///
    /// Revocation is left aside. A list that names us must not be kept from naming others too.
    pub(crate) fn check_own(&self, own: &Identity, now: WallTime) -> Result<(), SvidError> {
        let (Kind::Spiffe(bundles), PeerIdentity::Spiffe(id)) = (&self.0, own.name()) else {
            return Ok(());
        };
        let Some(roots) = bundles.roots_of(id.trust_domain()) else {
            return Ok(());
        };
        let roots = roots.clone().without_revocation_lists();
        let domain = TrustDomain::parse(id.trust_domain()).map_err(SvidError::SpiffeId)?;
        let bundles = TrustBundles::new().with_bundle(domain, roots);
        let algorithms = own.crypto().algorithms();
        verify_svid_with(algorithms, own.chain(), &bundles, Role::Server, now).map(drop)
    }

    /// Whether the two believe the same of everybody, so that nothing need be asked again.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Dns(mine), Kind::Dns(theirs)) => mine.is_same(theirs),
            (Kind::Spiffe(mine), Kind::Spiffe(theirs)) => mine.is_same(theirs),
            _ => false,
        }
    }

    pub(crate) fn is_spiffe(&self) -> bool {
        matches!(self.0, Kind::Spiffe(_))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
        KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
    };

    use super::*;
    use crate::revocation::RevocationLists;

    fn authority() -> (CertificateDer<'static>, RevocationLists) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2034, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&Issuer::new(params, key)).unwrap();
        (
            certificate,
            RevocationLists::from_der([list.der()]).unwrap(),
        )
    }

    fn roots(authorities: &[&CertificateDer<'_>]) -> Roots {
        Roots::from_der(authorities.iter().copied()).unwrap()
    }

    /// A peer of a connection that lives is asked about again where this says no.
    #[test]
    fn what_is_read_again_and_has_not_changed_is_the_same() {
        let ((one, lists), (other, others_lists)) = (authority(), authority());
        let listed = |lists: &RevocationLists| roots(&[&one]).with_revocation_lists(lists.clone());
        let bundles = |of: &[(&str, Roots)]| {
            let with = |bundles: TrustBundles, (name, roots): &(&str, Roots)| {
                bundles.with_bundle(TrustDomain::parse(name).unwrap(), roots.clone())
            };
            Trust::spiffe(of.iter().fold(TrustBundles::new(), with))
        };
        let made = || {
            [
                Trust::dns(roots(&[])),
                Trust::dns(roots(&[&one])),
                Trust::dns(roots(&[&other])),
                Trust::dns(roots(&[&one, &other])),
                Trust::dns(listed(&lists)),
                Trust::dns(listed(&others_lists)),
                bundles(&[]),
                bundles(&[("a", roots(&[&one]))]),
                bundles(&[("b", roots(&[&one]))]),
                bundles(&[("a", roots(&[&other]))]),
                bundles(&[("a", listed(&lists))]),
                bundles(&[("a", roots(&[&one])), ("b", roots(&[&other]))]),
                bundles(&[("a", roots(&[&one])), ("b", roots(&[&one]))]),
            ]
        };
        let (before, after) = (made(), made());
        let named = before.iter().filter_map(Trust::bundles);
        let domains = named.map(|bundles| bundles.trust_domains().count());
        assert!(domains.eq([0, 1, 1, 1, 1, 2, 2]));
        for (place, mine) in before.iter().enumerate() {
            assert!(mine.is_same(&mine.clone()), "{mine:?}");
            for (index, theirs) in after.iter().enumerate() {
                assert_eq!(mine.is_same(theirs), place == index, "{mine:?}, {theirs:?}");
            }
        }
    }
}
