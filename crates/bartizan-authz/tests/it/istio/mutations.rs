//! Documents that were damaged on the way.

use bartizan_authz::{IstioExport, IstioImport, NetworkPolicyExport, Policy};
use proptest::prelude::*;

const DOCUMENT: &str = r#"apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: readers
  namespace: shop
  annotations: {bartizan.rs/every-spelling: "true"}
spec:
  action: ALLOW
  rules:
  - from:
    - source:
        principals: ["cluster.local/ns/shop/sa/web", "*/sa/batch"]
        notNamespaces: ["evil"]
        remoteIpBlocks: ["10.0.0.0/8"]
    - source:
        requestPrincipals: ["https://issuer.example/*"]
        serviceAccounts: ["shop/web"]
    to:
    - operation:
        methods: ["GET", "HE*"]
        paths: ["/orders/{*}", "/files/*", "*.html", "/{**}/end"]
        notPaths: ["/orders/audit"]
        hosts: ["orders.example", "orders.example:*"]
        ports: ["8443"]
    when:
    - key: request.headers[x-tenant]
      values: ["acme"]
      notValues: ["evil*"]
    - key: request.auth.claims[realm_access][roles]
      values: ["clerk"]
---
"#;

/// What is put in the place of some bytes.
fn edit() -> impl Strategy<Value = (prop::sample::Index, usize, &'static str)> {
    let texts = [
        "", "*", "/", "{*}", "{**}", "[", "]", "{", "}", ":", "\n", " ", "-", "\"", "'", "#", "a",
        "%2f", "..", "\u{e9}", "not", "values", "DENY", "\0", "\t", "//", "0", "99999",
    ];
    (
        any::<prop::sample::Index>(),
        0..6_usize,
        prop::sample::select(texts.to_vec()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Whatever becomes of a document, it is refused with its place, or is a policy that can be
    /// written down.
    #[test]
    fn a_damaged_document_is_refused_or_a_policy(edits in prop::collection::vec(edit(), 1..4)) {
        let mut text = format!("{DOCUMENT}{DOCUMENT}");
        for (at, length, new) in edits {
            let mut begin = at.index(text.len());
            while !text.is_char_boundary(begin) {
                begin -= 1;
            }
            let mut end = (begin + length).min(text.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            text.replace_range(begin..end, new);
        }
        // Two policies of one name are none, so that most texts have one document at least.
        let renamed = text.replacen("readers", "others", 1);
        match IstioImport::new().for_any_workload().allow_unmatched().read(&renamed) {
            Ok(imported) => {
                let written = imported.policy.to_toml();
                let again = Policy::from_toml(&written);
                prop_assert!(again.is_ok(), "{:?}\n{written}", again.err());
                if let Ok(exported) = IstioExport::new("shop", "orders").write(&imported.policy) {
                    let again = IstioImport::new().read(&exported.text);
                    prop_assert!(again.is_ok(), "{:?}\n{}", again.err(), exported.text);
                }
                let _ = NetworkPolicyExport::new("shop", "orders", [1]).write(&imported.policy);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
