//! Tokens that are bound to a key or a certificate, in other hands.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::given::{Given, Made};
use crate::table::table;

table! { Tokens;
    "token.bound-to-key-as-bearer" "a token that is bound to a key, without a proof", "RFC 9449 §7.1" =>
        |given| { let jkt = given.thief.thumbprint(); bound(given, &[json!({ "jkt": jkt })]) };
    "token.bound-to-another-certificate" "a token that is bound to a certificate which the connection does not have", "RFC 8705 §3" =>
        |given| bound(given, &[json!({ "x5t#S256": URL_SAFE_NO_PAD.encode([7; 32]) })]);
    "token.bound-to-part-of-certificate" "a token that is bound to the beginning of a thumbprint", "RFC 8705 §3.1" =>
        |given| {
            let own = given.identity()?.sha256();
            let part = URL_SAFE_NO_PAD.encode(own.get(..16).unwrap_or_default());
            bound(given, &[json!({ "x5t#S256": part })])
        };
    "token.bound-by-sha-1" "a token that is bound by a thumbprint of SHA-1", "RFC 8705 §3.1" =>
        |given| bound(given, &[json!({ "x5t": URL_SAFE_NO_PAD.encode([7; 20]) })]);
    "token.bound-to-nothing" "a binding that names no key", "RFC 7800 §3.1" =>
        |given| bound(given, &[json!({})]);
    "token.bound-by-unknown-method" "a binding that the service cannot know", "RFC 7800 §3.1" =>
        |given| bound(given, &[json!({ "x-other": "a" })]);
    "token.binding-not-an-object" "a binding that is no object", "RFC 7800 §3.1" =>
        |given| bound(given, &[Value::Null, json!(""), json!([]), json!(true), json!(1)]);
    "token.binding-malformed" "a binding to a thumbprint that is none", "RFC 8705 §3.1" =>
        |given| bound(given, &[
            json!({ "x5t#S256": "" }), json!({ "x5t#S256": null }), json!({ "x5t#S256": 1 }),
            json!({ "jkt": "" }), json!({ "jkt": null }), json!({ "x5t#S256": "!" }),
        ]);
    "token.bound-twice" "a token that is bound to a key and to a certificate, and shows neither", "RFC 7800 §3.1" =>
        |given| {
            let jkt = given.thief.thumbprint();
            bound(given, &[json!({ "jkt": jkt, "x5t#S256": URL_SAFE_NO_PAD.encode([7; 32]) })])
        };
    "token.bound-to-embedded-key" "a token that is bound to a whole key, without a proof", "RFC 7800 §3.2" =>
        |given| { let jwk = given.thief.jwk(); bound(given, &[json!({ "jwk": jwk })]) };
    "token.bound-to-named-key" "a token that is bound to a key by its name", "RFC 7800 §3.4" =>
        |given| bound(given, &[json!({ "kid": "client-key" })]);
    "token.bound-to-key-elsewhere" "a token that is bound to a key at an address", "RFC 7800 §3.5" =>
        |given| bound(given, &[json!({ "jku": "http://127.0.0.1:9/", "kid": "a" })]);
}

/// Good tokens with these bindings.
fn bound(given: &Given<'_>, bindings: &[Value]) -> Made {
    given.mints(|it| {
        let tokens = bindings
            .iter()
            .map(|cnf| it.clone().claim("cnf", cnf.clone()));
        tokens.collect::<Vec<_>>()
    })
}
