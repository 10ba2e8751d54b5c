//! Revocation lists, from files and from an agent, and what is looked up in them.

use bartizan_core::WallTime;
use bartizan_mtls::{RevocationLists, Role, Roots, TrustBundles, verify_svid};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    // A list twice is two of one issuer, each of which gets its turn.
    let der = CertificateRevocationListDer::from(bytes);
    if let Ok(lists) = RevocationLists::from_der(&[der.clone(), der]) {
        assert_eq!(lists.len(), 2);
    }
    if let Ok(lists) = RevocationLists::from_pem(bytes) {
        assert!((1..=64).contains(&lists.len()));
    }
    // A certificate and a list behind it: whatever they are, nobody is proven who was not before.
    let Some((length, rest)) = bytes.split_at_checked(2) else {
        return;
    };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let Some((certificate, list)) = rest.split_at_checked(length) else {
        return;
    };
    let chain = [CertificateDer::from(certificate)];
    let lists = RevocationLists::from_der(&[CertificateRevocationListDer::from(list)]);
    let (Ok(roots), Ok(lists)) = (Roots::from_der(&chain), lists) else {
        return;
    };
    let now = WallTime::from_unix_seconds(1_800_000_000);
    let verify = |roots| {
        let domain = "example.org".parse().expect("trust domain");
        let bundles = TrustBundles::new().with_bundle(domain, roots);
        verify_svid(&chain, &bundles, Role::Client, now).is_ok()
    };
    assert!(verify(roots.clone()) || !verify(roots.with_revocation_lists(lists)));
}
