//! Certificates of the far end, before anything about them is proven.
#![no_main]

use bartizan_core::WallTime;
use bartizan_mtls::{Role, Roots, TrustBundles, verify_dns, verify_svid};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;

fuzz_target!(|der: &[u8]| {
    let now = WallTime::from_unix_seconds(1_800_000_000);
    let chain = [CertificateDer::from(der)];
    // Nobody is trusted, so that whatever this is, it proves nothing.
    assert!(verify_svid(&chain, &TrustBundles::new(), Role::Client, now).is_err());
    if let Ok(roots) = Roots::from_der(&chain) {
        let _ = verify_dns(&chain, &roots, Role::Server, now);
        let domain = "example.org".parse().expect("trust domain");
        let bundles = TrustBundles::new().with_bundle(domain, roots);
        let _ = verify_svid(&chain, &bundles, Role::Server, now);
    }
});
