//! From a message of the Workload API to material.

use std::mem;

use bartizan_core::{SpiffeIdError, TrustDomain, WallTime};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivatePkcs8KeyDer};

use crate::crypto::Crypto;
use crate::der::Reader;
use crate::identity::{Identity, IdentityError};
use crate::material::Material;
use crate::revocation::{RevocationError, RevocationLists};
use crate::roots::{Roots, RootsError};
use crate::rules::MAX_CHAIN_CERTIFICATES;
use crate::svid_error::SvidError;
use crate::trust::{Trust, TrustBundles};
use crate::workload_api::message::{X509Svid, X509SvidResponse};

/// Why a message of the Workload API is no material. No variant holds any part of a key.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The bundle of our own trust domain cannot be used.
    #[error("bundle cannot be used")]
    Bundle(#[source] RootsError),
    /// Certificates are not DER values one after the other, or there are too many.
    #[error("certificates are not der values, or too many")]
    Certificates,
    /// Chain and key make no identity.
    #[error("chain and key make no identity")]
    Identity(#[source] IdentityError),
    /// The message has no revocation lists, which were required.
    #[error("message has no revocation lists")]
    NoRevocationLists,
    /// The message has no SVID, or none with the hint that was asked for.
    #[error("message has no svid for us")]
    NoSvid,
    /// The leaf bears another SPIFFE ID than the message says.
    #[error("certificate bears another spiffe id than the message says")]
    OtherId,
    /// A revocation list cannot be used.
    #[error("revocation lists cannot be used")]
    Revocation(#[source] RevocationError),
    /// A bundle is not filed under a trust domain.
    #[error("bundle is not filed under a trust domain")]
    TrustDomain(#[source] SpiffeIdError),
    /// The leaf is outside its validity period.
    #[error("certificate cannot be used now")]
    Validity(#[source] SvidError),
}

/// What a message comes to.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) material: Material,
    /// Bundles that were left out: the key they were filed under, and why.
    pub(super) ignored: Vec<(String, UpdateError)>,
}

/// What is wanted of a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) hint: Option<Box<str>>,
    pub(super) revocation_status: bool,
    /// ring's unless said.
    pub(super) crypto: Option<Crypto>,
}

/// The message as material. Takes the key out of it.
pub(super) fn read(
    mut message: X509SvidResponse,
    wanted: &Wanted,
    now: WallTime,
) -> Result<Update, UpdateError> {
    let lists = lists(&mut message, wanted)?;
    let with_lists = |roots: Roots| match &lists {
        Some(lists) => roots.with_revocation_lists(lists.clone()),
        None => roots,
    };
    let (mut bundles, mut ignored) = (TrustBundles::new(), Vec::new());
    for (name, der) in mem::take(&mut message.federated_bundles) {
        match federated(&name, &der) {
            Ok((domain, roots)) => bundles = bundles.with_bundle(domain, with_lists(roots)),
            Err(error) => ignored.push((name, error)),
        }
    }
    let hint = wanted.hint.as_deref();
    let svid = chosen(&mut message.svids, hint).ok_or(UpdateError::NoSvid)?;
    let identity = identity(svid, wanted, now)?;
    let id = identity.spiffe_id().ok_or(UpdateError::OtherId)?;
    let domain = TrustDomain::parse(id.trust_domain()).map_err(UpdateError::TrustDomain)?;
    // Last, so that nothing that is filed under our own name as foreign takes its place.
    let bundles = bundles.with_bundle(domain, with_lists(roots(&svid.bundle)?));
    Ok(Update {
        material: Material::new(identity, Trust::spiffe(bundles)),
        ignored,
    })
}

/// The revocation lists, which a message gives without saying whose they are: each counts for
/// what its issuer has issued, in whichever trust domain that is.
fn lists(
    message: &mut X509SvidResponse,
    wanted: &Wanted,
) -> Result<Option<RevocationLists>, UpdateError> {
    let lists: Vec<_> = mem::take(&mut message.crl)
        .into_iter()
        .map(CertificateRevocationListDer::from)
        .collect();
    match (lists.is_empty(), wanted.revocation_status) {
        (true, true) => Err(UpdateError::NoRevocationLists),
        (true, false) => Ok(None),
        (false, required) => {
            let lists = RevocationLists::from_der(&lists).map_err(UpdateError::Revocation)?;
            Ok(Some(if required {
                lists
            } else {
                lists.allow_unknown_status()
            }))
        }
    }
}

/// The first SVID, or the first with the hint.
///
//= SPIFFE Workload API §5.2.1: hints are unique; if they are not, the first message is selected.
fn chosen<'m>(svids: &'m mut [X509Svid], hint: Option<&str>) -> Option<&'m mut X509Svid> {
    svids
        .iter_mut()
        .find(|svid| hint.is_none_or(|hint| svid.hint == hint))
}

fn identity(svid: &mut X509Svid, wanted: &Wanted, now: WallTime) -> Result<Identity, UpdateError> {
    let chain = split(&svid.x509_svid, MAX_CHAIN_CERTIFICATES)?;
    let chain = chain.into_iter().map(CertificateDer::into_owned).collect();
    // The identity wipes what it was given.
    let key = PrivatePkcs8KeyDer::from(mem::take(&mut svid.x509_svid_key));
    let crypto = wanted.crypto.clone().unwrap_or_else(Crypto::ring);
    let identity = crypto
        .identity_from_der(chain, key.into())
        .map_err(UpdateError::Identity)?;
    if identity.spiffe_id().map(|id| id.as_str()) != Some(&svid.spiffe_id) {
        return Err(UpdateError::OtherId);
    }
    identity
        .check_validity(now)
        .map_err(UpdateError::Validity)?;
    Ok(identity)
}

fn federated(name: &str, der: &[u8]) -> Result<(TrustDomain, Roots), UpdateError> {
    let domain = name.strip_prefix("spiffe://").unwrap_or(name);
    let domain = TrustDomain::parse(domain).map_err(UpdateError::TrustDomain)?;
    Ok((domain, roots(der)?))
}

fn roots(der: &[u8]) -> Result<Roots, UpdateError> {
    // `Roots` has its own limit; this one keeps a megabyte of nothing from being a list first.
    Roots::from_der(&split(der, 1024)?).map_err(UpdateError::Bundle)
}

/// DER values that follow one another.
fn split(der: &[u8], limit: usize) -> Result<Vec<CertificateDer<'_>>, UpdateError> {
    let (mut reader, mut certificates) = (Reader::new(der), Vec::new());
    while !reader.is_empty() {
        if certificates.len() == limit {
            return Err(UpdateError::Certificates);
        }
        let whole = reader.whole().map_err(|_| UpdateError::Certificates)?;
        certificates.push(CertificateDer::from(whole));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[test]
    fn splits_der_values_that_follow_one_another() {
        let lengths = |der: &[u8], limit| -> Result<Vec<usize>, ()> {
            let values = split(der, limit).map_err(drop)?;
            Ok(values.iter().map(|value| value.len()).collect())
        };
        assert_eq!(lengths(&[], 1), Ok(vec![]));
        assert_eq!(lengths(&[0x30, 0, 0x30, 1, 9], 2), Ok(vec![2, 3]));
        assert_eq!(lengths(&[0x30, 0, 0x30, 1, 9], 1), Err(()));
        assert_eq!(lengths(&[0x30, 0, 0x30, 2, 9], 2), Err(()));
    }

    #[test]
    fn the_hint_chooses_and_the_first_wins() {
        let svid = |id: &str, hint: &str| {
            let mut svid = X509Svid::default();
            (svid.spiffe_id, svid.hint) = (id.to_owned(), hint.to_owned());
            svid
        };
        let mut svids = vec![svid("a", ""), svid("b", "x"), svid("c", "x")];
        let mut id = |hint| chosen(&mut svids, hint).map(|svid| svid.spiffe_id.clone());
        assert_eq!(id(None).as_deref(), Some("a"));
        assert_eq!(id(Some("x")).as_deref(), Some("b"));
        assert_eq!(id(Some("y")), None);
    }

    #[test]
    fn debug_shows_no_key() {
        let mut svid = X509Svid::default();
        svid.x509_svid_key = b"secret".to_vec();
        let mut response = X509SvidResponse::default();
        response.svids.push(svid);
        let shown = format!("{response:?} {:?}", response.svids);
        assert_eq!(shown, "X509SvidResponse { .. } [X509Svid { .. }]");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let now = WallTime::from_unix_seconds(0);
            if let Ok(message) = X509SvidResponse::decode(&bytes[..]) {
                let _ = read(message, &Wanted::default(), now);
            }
            let message = X509SvidResponse {
                federated_bundles: [("spiffe://a.org".to_owned(), bytes.clone())].into(),
                ..X509SvidResponse::default()
            };
            prop_assert!(matches!(read(message, &Wanted::default(), now), Err(UpdateError::NoSvid)));
        }
    }
}
