//! Bundle documents of federated trust domains.
#![no_main]

use bartizan_mtls::{RevocationLists, SpiffeBundle};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateRevocationListDer;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = SpiffeBundle::from_json(bytes) {
        assert!(bundle.roots().len() <= 64);
    }
    if let Ok(lists) = RevocationLists::from_der(&[CertificateRevocationListDer::from(bytes)]) {
        assert_eq!(lists.len(), 1);
    }
});
