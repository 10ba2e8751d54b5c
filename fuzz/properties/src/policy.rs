//! Policies as text: whatever is one decides, is written down again and explained, and denies what
//! one more rule denies.

use bartizan_authz::{Facts, Policy, Ruling};

use crate::input::text;

const REQUESTS: [(&str, &str); 4] = [
    ("GET", "/orders/7"),
    ("POST", "/Orders/7/"),
    ("HEAD", "/"),
    ("POST", "/shop.Payments/Charge"),
];

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let Ok(policy) = Policy::from_toml(text) else {
        return;
    };
    assert!(policy.rules().count() > 0 || policy.allows_nothing());
    let written = policy.to_toml();
    let again = Policy::from_toml(&written).expect("what was written is read");
    assert_eq!(again.to_toml(), written);
    let closed = format!("{text}\n[[rule]]\nname = \"closed by the target\"\neffect = \"deny\"\n");
    let closed = Policy::from_toml(&closed);
    for (method, path) in REQUESTS {
        let facts = Facts::new(method, path);
        let ruling = policy.decide(&facts, &mut |_| {});
        assert_eq!(again.decide(&facts, &mut |_| {}), ruling, "{written}");
        let explained = policy.explain(&facts);
        assert_eq!(explained.ruling, ruling);
        let applies = explained.rules.iter().any(|rule| rule.applies());
        assert!(applies || !matches!(ruling, Ruling::Allowed(_) | Ruling::Denied(Some(_))));
        if let Ok(closed) = &closed {
            let ruling = closed.decide(&facts, &mut |_| {});
            assert!(matches!(ruling, Ruling::Denied(Some(_))), "{ruling:?}");
        }
    }
}
