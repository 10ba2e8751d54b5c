//! Headers that say more than an algorithm, and headers that are none.

use serde_json::{Value, json};

use crate::given::{Given, Made};
use crate::table::table;

table! { Tokens;
    "token.crit-unknown" "an extension that must be understood, and is not", "RFC 7515 §4.1.11" =>
        |given| given.tokens(|it| [it.header("crit", json!(["x-unknown"])).header("x-unknown", 1).sign()]);
    "token.crit-without-member" "an extension that must be understood, and is not there", "RFC 7515 §4.1.11" =>
        |given| given.tokens(|it| [it.header("crit", json!(["exp"])).sign()]);
    "token.crit-empty" "an empty list of extensions", "RFC 7515 §4.1.11" =>
        |given| given.tokens(|it| [it.header("crit", json!([])).sign()]);
    "token.crit-not-a-list" "extensions that are no list", "RFC 7515 §4.1.11" =>
        |given| given.tokens(|it| [json!("b64"), Value::Null, json!({}), json!(true)].map(|crit| it.clone().header("crit", crit).sign()));
    "token.crit-of-registered-name" "a registered name among the extensions", "RFC 7515 §4.1.11" =>
        |given| given.tokens(|it| [it.header("crit", json!(["alg"])).sign()]);
    "token.b64-false" "a payload that says it is not encoded", "RFC 7797 §6" =>
        |given| given.tokens(|it| [it.header("b64", false).header("crit", json!(["b64"])).sign()]);
    "token.b64-false-and-bare" "a payload that is not encoded, as text", "RFC 7797 §3" =>
        |given| given.tokens(|it| {
            let it = it.header("b64", false).header("crit", json!(["b64"]));
            let head = it.input().split('.').next().unwrap_or_default().to_owned();
            [format!("{head}.{}.", it.payload_text().replace(' ', ""))]
        });
    "token.zip" "a payload that says it is compressed", "RFC 7516 §4.1.3" =>
        |given| given.tokens(|it| [it.header("zip", "DEF").sign()]);
    "token.enc" "a parameter of encryption in a signed token", "RFC 7516 §4.1.2" =>
        |given| given.tokens(|it| [it.header("enc", "A256GCM").header("alg", "dir").sign()]);
    "token.nested" "a token in a token", "RFC 8725 §2.4" =>
        |given| given.tokens(|it| {
            let inner = it.kept();
            let it = it.header("cty", "JWT");
            [it.clone().raw_payload(inner.clone()).sign(), it.raw_payload(format!("\"{inner}\"")).sign()]
        });
    "token.typ-logout" "a logout token in the place of an access token", "RFC 8725 §3.11" =>
        |given| typed(given, "logout+jwt");
    "token.typ-security-event" "a security event in the place of an access token", "RFC 8417 §2.3" =>
        |given| typed(given, "secevent+jwt");
    "token.typ-proof" "a proof of possession in the place of an access token", "RFC 9449 §4.2" =>
        |given| typed(given, "dpop+jwt");
    "token.typ-introspection" "an answer of introspection in the place of an access token", "RFC 9701 §8.1" =>
        |given| typed(given, "token-introspection+jwt");
    "token.typ-request-object" "a request object in the place of an access token", "RFC 9101 §10.8" =>
        |given| typed(given, "oauth-authz-req+jwt");
    "token.typ-client-assertion" "a client's assertion in the place of an access token", "RFC 8725 §3.11" =>
        |given| typed(given, "client-authentication+jwt");
    "token.typ-not-a-string" "a type that is no string", "RFC 7515 §4.1.9" =>
        |given| given.mints(|it| [json!(1), json!(["at+jwt"]), json!({})].map(|typ| it.clone().header("typ", typ)));
    "token.header-kid-twice" "the name of the key twice", "RFC 7515 §4" =>
        |given| given.tokens(|it| {
            let (alg, kid) = (it.header_member("alg"), it.header_member("kid"));
            [it.raw_header(format!(r#"{{"alg":"{alg}","kid":"other","kid":"{kid}"}}"#)).sign()]
        });
    "token.header-list" "a header that is a list", "RFC 7515 §4" =>
        |given| given.tokens(|it| { let text = format!("[{}]", it.header_text()); [it.raw_header(text).sign()] });
    "token.header-scalar" "a header that is null, a number or a string", "RFC 7515 §4" =>
        |given| given.tokens(|it| ["null", "1", "\"alg\"", "true"].map(|text| it.clone().raw_header(text).sign()));
    "token.header-empty-object" "a header without members", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| { let it = it.raw_header("{}"); [it.sign(), it.unsigned()] });
    "token.header-cut-off" "a header whose object does not end", "RFC 7515 §4" =>
        |given| given.tokens(|it| { let text = it.header_text(); [it.raw_header(text.trim_end_matches('}')).sign()] });
    "token.header-with-more-behind" "a header with a second object behind the first", "RFC 7515 §4" =>
        |given| given.tokens(|it| { let text = it.header_text() + r#"{"alg":"none"}"#; [it.raw_header(text).sign()] });
    "token.header-byte-order-mark" "a header behind a byte order mark", "RFC 8259 §8.1" =>
        |given| given.tokens(|it| { let text = format!("\u{feff}{}", it.header_text()); [it.raw_header(text).sign()] });
    "token.header-utf-16" "a header in UTF-16", "RFC 8259 §8.1" =>
        |given| given.tokens(|it| {
            let text: Vec<u8> = it.header_text().encode_utf16().flat_map(u16::to_le_bytes).collect();
            [it.raw_header(text).sign()]
        });
    "token.header-comment" "a header with a comment, a trailing comma or single quotes", "RFC 8259 §2" =>
        |given| given.tokens(|it| {
            let text = it.header_text();
            let open = text.trim_end_matches('}').to_owned();
            [open.clone() + "/**/}", open + ",}", text.replace('"', "'")].map(|text| it.clone().raw_header(text).sign())
        });
    "token.header-deep" "a header of ten thousand lists in lists", "CWE-674" =>
        |given| given.tokens(|it| {
            let open = it.header_text().trim_end_matches('}').to_owned();
            let deep = format!("{open},\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
            [it.raw_header(deep).sign()]
        });
    "token.header-of-many-members" "a header of two thousand members", "CWE-770" =>
        |given| given.tokens(|it| {
            let open = it.header_text().trim_end_matches('}').to_owned();
            let many: String = (0..2000).map(|number| format!(",\"{number}\":0")).collect();
            [it.raw_header(format!("{open}{many}}}")).sign()]
        });
}

/// A good token of another type.
fn typed(given: &Given<'_>, typ: &str) -> Made {
    given.mints(|it| [it.header("typ", typ)])
}
