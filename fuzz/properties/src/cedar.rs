//! Policies in Cedar: whatever text is loaded, nothing is allowed that no `permit` allows, and one
//! more `forbid` forbids.

use bartizan_authz::{CedarEngine, Facts, PolicyEngine, Ruling};

use crate::input::text;

const REQUESTS: [(&str, &str); 3] = [
    ("GET", "/orders/7"),
    ("POST", "/Orders/7/"),
    ("POST", "/shop.Payments/Charge"),
];

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let builder = || {
        let builder = CedarEngine::builder().with_routes(["/orders/{id}"]);
        builder
            .add_grpc("shop.Payments", "Charge")
            .add_claim("tenant")
    };
    let Ok(engine) = builder().build(text) else {
        return;
    };
    let more =
        format!("{text}\n@id(\"closed by the target\") forbid (principal, action, resource);");
    let closed = builder().build(&more);
    for (method, path) in REQUESTS {
        let facts = Facts::new(method, path);
        let ruling = engine.decide(&facts, &mut |_| {});
        if let Ok(Ruling::Allowed(_)) = ruling {
            assert!(text.contains("permit"), "{text}");
        }
        assert_eq!(engine.decide(&facts, &mut |_| {}).is_ok(), ruling.is_ok());
        // A comment may end the text.
        if let Ok(closed) = &closed {
            let ruling = closed.decide(&facts, &mut |_| {});
            assert!(!matches!(ruling, Ok(Ruling::Allowed(_))), "{more}");
        }
    }
}
