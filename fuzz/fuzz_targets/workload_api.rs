//! Messages of the Workload API, as an agent sends them.
#![no_main]

use bartizan_mtls::fuzzing::workload_api_update;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Material has an identity, and an identity the key of its certificate.
    if let Some(material) = workload_api_update(bytes) {
        let identity = material.identity();
        let id = identity.spiffe_id().expect("svid");
        let bundles = material.trust().bundles().expect("bundles");
        assert!(bundles.roots_of(id.trust_domain()).is_some());
    }
});
