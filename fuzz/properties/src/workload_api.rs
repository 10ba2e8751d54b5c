//! Messages of the Workload API, as an agent sends them.

use bartizan_mtls::fuzzing::workload_api_update;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    // Material has an identity, and an identity the key of its certificate.
    if let Some(material) = workload_api_update(bytes) {
        let identity = material.identity();
        let id = identity.spiffe_id().expect("svid");
        let bundles = material.trust().bundles().expect("bundles");
        assert!(bundles.roots_of(id.trust_domain()).is_some());
    }
}
