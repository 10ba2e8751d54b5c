//! What the token says it was signed by.

use serde_json::{Value, json};

use crate::given::{Given, Made};
use crate::keys::spellings;
use crate::table::table;

table! { Tokens;
    "token.alg-none" "a token that says it needs no signature, and has none", "RFC 8725 §3.1" =>
        |given| given.tokens(|it| [it.header("alg", "none").unsigned()]);
    "token.alg-none-in-other-case" "`none` in other case, which a list of refused names lets through", "RFC 8725 §3.1" =>
        |given| given.tokens(|it| ["None", "NONE", "nOnE", "noNe"].map(|alg| it.clone().header("alg", alg).unsigned()));
    "token.alg-none-with-white-space" "`none` with white space or a NUL beside it", "RFC 8725 §3.1" =>
        |given| given.tokens(|it| [" none", "none ", "none\0", "\tnone", "none\n"].map(|alg| it.clone().header("alg", alg).unsigned()));
    "token.alg-none-with-signature" "`none`, and the signature of the token that it was made from", "RFC 8725 §3.1" =>
        |given| given.tokens(|it| [it.header("alg", "none").kept()]);
    "token.alg-none-in-two-parts" "`none`, and no dot where the signature would follow", "RFC 7515 §7.1" =>
        |given| given.tokens(|it| [it.header("alg", "none").input()]);
    "token.alg-missing" "a header without an algorithm", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| { let it = it.without_header("alg"); [it.sign(), it.unsigned()] });
    "token.alg-empty" "an algorithm with an empty name", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| { let it = it.header("alg", ""); [it.sign(), it.unsigned()] });
    "token.alg-null" "an algorithm that is null", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| { let it = it.header("alg", Value::Null); [it.sign(), it.unsigned()] });
    "token.alg-not-a-string" "an algorithm that is a number or a boolean", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| [json!(0), json!(256), json!(true), json!(false)].map(|alg| it.clone().header("alg", alg).sign()));
    "token.alg-list" "a list of algorithms, with `none` or the right one in it", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| {
            let right = it.header_member("alg");
            [json!(["none"]), json!([right]), json!([])].map(|alg| it.clone().header("alg", alg).sign())
        });
    "token.alg-object" "an algorithm that is an object", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| [it.header("alg", json!({ "name": "none" })).sign()]);
    "token.alg-right-in-other-case" "the right algorithm in other case; names are compared as they are", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| { let alg = it.header_member("alg").to_lowercase(); [it.header("alg", alg).sign()] });
    "token.alg-right-with-white-space" "the right algorithm with a space behind it", "RFC 7515 §4.1.1" =>
        |given| given.tokens(|it| { let alg = it.header_member("alg") + " "; [it.header("alg", alg).sign()] });
    "token.alg-unknown" "algorithms that nobody has registered", "RFC 8725 §3.1" =>
        |given| given.tokens(|it| ["XX256", "ES0", "RS", "alg"].map(|alg| it.clone().header("alg", alg).sign()));
    "token.alg-of-another-family" "another algorithm than that of the signature", "RFC 8725 §2.1" =>
        |given| given.tokens(|it| {
            let right = it.header_member("alg");
            let all = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "RS512"].into_iter();
            all.filter(|alg| *alg != right).map(|alg| it.clone().header("alg", alg).sign()).collect::<Vec<_>>()
        });
    "token.alg-weak-hash" "algorithms over SHA-1", "RFC 8725 §3.2" =>
        |given| given.tokens(|it| ["RS1", "HS1", "ES1"].map(|alg| it.clone().header("alg", alg).sign()));
    "token.alg-of-another-curve" "ES256K in the place of ES256", "RFC 8812 §3.2" =>
        |given| given.tokens(|it| [it.header("alg", "ES256K").sign()]);
    "token.alg-of-encryption" "an algorithm of JWE in a token that is signed", "RFC 8725 §3.2" =>
        |given| given.tokens(|it| ["dir", "A256KW", "RSA-OAEP", "PBES2-HS256+A128KW"].map(|alg| it.clone().header("alg", alg).sign()));
    "token.alg-twice" "the algorithm twice, with `none` first or last", "RFC 7515 §4" =>
        |given| given.tokens(|it| {
            let right = it.header_member("alg");
            [(right.as_str(), "none"), ("none", right.as_str())]
                .map(|(a, b)| it.clone().raw_header(format!(r#"{{"alg":"{a}","alg":"{b}"}}"#)).unsigned())
        });
    "token.mac-with-empty-secret" "a MAC under an empty secret", "RFC 8725 §3.5" =>
        |given| given.tokens(|it| ["HS256", "HS384", "HS512"].map(|alg| it.mac(alg, b"")));
    "token.mac-with-common-secret" "a MAC under secrets that documentation and examples use", "CWE-798" =>
        |given| given.tokens(|it| {
            ["secret", "password", "changeme", "your-256-bit-secret", "key", "jwt", "null", "0"].map(|secret| it.mac("HS256", secret.as_bytes()))
        });
    "token.mac-with-names-as-secret" "a MAC under what the token itself says: key, issuer, audience", "CWE-330" =>
        |given| given.tokens(|it| {
            let mut secrets = vec![it.header_member("kid")];
            secrets.extend(["iss", "aud", "sub"].map(|claim| {
                it.claims.get(claim).and_then(Value::as_str).unwrap_or_default().to_owned()
            }));
            secrets.iter().map(|secret| it.mac("HS256", secret.as_bytes())).collect::<Vec<_>>()
        });
    "token.mac-with-zeros" "a MAC under keys of zeros, as uninitialised memory would be", "CWE-1188" =>
        |given| given.tokens(|it| [16, 32, 64].map(|length| it.mac("HS256", &vec![0; length])));
    "token.hs256-with-public-key" "the issuer's public key as the secret of HS256", "RFC 8725 §2.1, CVE-2016-10555" =>
        |given| confused(given, "HS256");
    "token.hs384-with-public-key" "the issuer's public key as the secret of HS384", "RFC 8725 §2.1" =>
        |given| confused(given, "HS384");
    "token.hs512-with-public-key" "the issuer's public key as the secret of HS512", "RFC 8725 §2.1" =>
        |given| confused(given, "HS512");
}

/// A MAC under the public key in every spelling that a verifier might hold.
fn confused(given: &Given<'_>, algorithm: &str) -> Made {
    let secrets = spellings(given.key_set()?);
    given.tokens(|it| {
        let tokens = secrets.iter().map(|secret| it.mac(algorithm, secret));
        tokens.collect::<Vec<_>>()
    })
}
