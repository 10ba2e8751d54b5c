//! Policies of Istio: what is read is a policy that can be written down, in our form and in
//! Istio's, and each of them decides as before.

use bartizan_authz::{
    Facts, IstioErrorKind, IstioExport, IstioImport, NetworkPolicyExport, Policy, Ruling,
};

use crate::input::{last_line, text};

const REQUESTS: [(&str, &str, Option<&str>); 4] = [
    ("GET", "/orders/7", Some("orders.example:8443")),
    ("POST", "/Orders/7/", None),
    ("HEAD", "/", Some("Orders.example")),
    ("POST", "/shop.Payments/Charge", None),
];

/// Whether each of the requests is allowed.
fn decided(policy: &Policy) -> [bool; 4] {
    REQUESTS.map(|(method, path, authority)| {
        let mut facts = Facts::new(method, path);
        facts.authority = authority;
        facts.address = Some([10, 1, 2, 3].into());
        facts.source = Some([192, 0, 2, 1].into());
        facts.destination = Some(([192, 0, 2, 2], 8443).into());
        facts.server_name = Some("orders.example");
        matches!(policy.decide(&facts, &mut |_| {}), Ruling::Allowed(_))
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let import = IstioImport::new().for_any_workload();
    let imported = match import.clone().allow_unmatched().read(text) {
        Ok(imported) => imported,
        Err(error) => {
            assert!(error.line <= last_line(text), "{error}");
            assert!(error.kind != IstioErrorKind::NoAllowPolicy, "{error}");
            return;
        }
    };
    let policy = imported.policy;
    let before = decided(&policy);
    let written = policy.to_toml();
    let read = Policy::from_toml(&written).expect("what was written is read");
    assert_eq!(decided(&read), before, "{written}");
    if let Ok(exported) = IstioExport::new("shop", "orders").write(&policy) {
        let again = import
            .read(&exported.text)
            .expect("what was exported is imported");
        assert_eq!(decided(&again.policy), before, "{}", exported.text);
    }
    let _ = NetworkPolicyExport::new("shop", "orders", [8443]).write(&policy);
}
