//! PEM of roots and revocation lists: bounded, and what stands before a section says nothing.

use bartizan_mtls::{Identity, RevocationLists, Roots};

/// Holds the bytes to what the head of this file says.
pub fn check(pem: &[u8]) {
    let roots = Roots::from_pem(pem).map(|roots| roots.len());
    let lists = RevocationLists::from_pem(pem).map(|lists| lists.len());
    assert!(roots.as_ref().map_or(true, |count| *count > 0));
    assert!(
        lists
            .as_ref()
            .map_or(true, |count| (1..=64).contains(count))
    );
    let before = [&b"subject=CN = a root\n\n"[..], pem].concat();
    let again = Roots::from_pem(&before).map(|roots| roots.len());
    assert_eq!(again.ok(), roots.ok());
    let again = RevocationLists::from_pem(&before).map(|lists| lists.len());
    assert_eq!(again.ok(), lists.ok());
    // One file for both, as some tools write it: no key is in it that is not the certificate's.
    if let Ok(identity) = Identity::from_pem(pem, pem) {
        assert!(!identity.chain().is_empty() && identity.spiffe_id().is_some());
    }
}
