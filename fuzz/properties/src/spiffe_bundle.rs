//! Bundle documents of federated trust domains: bounded, and as `serde_json` reads them.

use bartizan_mtls::{RevocationLists, SpiffeBundle};
use rustls_pki_types::CertificateRevocationListDer;
use serde_json::Value;

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    if let Ok(bundle) = SpiffeBundle::from_json(bytes) {
        assert!(bundle.roots().len() <= 64);
        // Numbers that no double holds may stand where nobody looks.
        let Ok(document @ Value::Object(_)) = serde_json::from_slice(bytes) else {
            return;
        };
        let keys = document["keys"].as_array().map_or(&[][..], Vec::as_slice);
        let is_readable = |key: &&Value| key["use"] == "x509-svid" || key.is_array();
        assert!(bundle.roots().len() <= keys.iter().filter(is_readable).count());
        let sequence = document.get("spiffe_sequence").and_then(Value::as_u64);
        assert_eq!(bundle.sequence(), sequence);
    }
    if let Ok(lists) = RevocationLists::from_der(&[CertificateRevocationListDer::from(bytes)]) {
        assert_eq!(lists.len(), 1);
    }
}
