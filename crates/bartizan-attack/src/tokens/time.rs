//! Tokens that are over, not yet begun, or never say when.

use serde_json::{Value, json};

use crate::given::{Given, Made};
use crate::table::table;
use crate::token::Token;

table! { Tokens;
    "token.exp-past" "a token that has expired, an hour, a day and years ago", "RFC 7519 §4.1.4" =>
        |given| given.mints(|it| [-3600, -86_400, -1_000_000_000].map(|age| it.clone().moved("exp", age)));
    "token.exp-missing" "a token that never expires", "RFC 9068 §2.2" =>
        |given| given.mints(|it| [it.without_claim("exp")]);
    "token.exp-null" "an expiry that is null", "RFC 7519 §4.1.4" =>
        |given| claim(given, "exp", &[Value::Null]);
    "token.exp-text" "an expiry that is text", "RFC 7519 §2" =>
        |given| claim(given, "exp", &[json!("4102444800"), json!("never"), json!(""), json!("2099-01-01T00:00:00Z")]);
    "token.exp-not-a-number" "an expiry that is a list, an object or a boolean", "RFC 7519 §2" =>
        |given| claim(given, "exp", &[json!([4_102_444_800_u64]), json!({}), json!(true), json!(false)]);
    "token.exp-zero" "an expiry of zero, which some read as none", "RFC 7519 §4.1.4" =>
        |given| claim(given, "exp", &[json!(0), json!(0.0), json!(-0.0)]);
    "token.exp-negative" "an expiry before the epoch", "RFC 7519 §4.1.4" =>
        |given| claim(given, "exp", &[json!(-1), json!(i64::MIN), json!(-1e300)]);
    "token.exp-wraps-around" "an expiry in the past that wraps around to the future, or the reverse", "CWE-190" =>
        |given| raw(given, "exp", &["-9223372036854775809", "-1e400", "1e-400"]);
    "token.exp-not-json" "an expiry that JSON has no way to write", "RFC 8259 §6" =>
        |given| raw(given, "exp", &["NaN", "Infinity", "0x7fffffff", "+4102444800", "04102444800", "4102444800."]);
    "token.exp-twice" "the expiry twice, past and future", "RFC 7519 §4" =>
        |given| given.mints(|it| {
            let open = it.payload_text().trim_end_matches('}').to_owned();
            [format!("{open},\"exp\":4102444800}}"), format!("{{\"exp\":4102444800,{}}}", open.trim_start_matches('{'))]
                .map(|text| it.clone().raw_payload(text))
        });
    "token.exp-in-milliseconds-past" "an expiry in the past by a few minutes, with a fraction", "RFC 7519 §2" =>
        |given| given.mints(|it| {
            let now = it.claims.get("iat").and_then(Value::as_f64).unwrap_or_default();
            [it.claim("exp", now - 600.5)]
        });
    "token.exp-in-another-claim" "an expiry by the name of another standard alone", "RFC 7519 §4.1.4" =>
        |given| given.mints(|it| [it.without_claim("exp").claim("expires_in", 3600).claim("expires_at", 4_102_444_800_u64)]);
    "token.exp-in-the-header" "an expiry in the header alone", "RFC 7519 §5.3" =>
        |given| given.mints(|it| [it.without_claim("exp").header("exp", 4_102_444_800_u64)]);
    "token.nbf-future" "a token that is valid in an hour, or in years", "RFC 7519 §4.1.5" =>
        |given| given.mints(|it| [3600, 1_000_000_000].map(|wait| it.clone().moved("nbf", wait)));
    "token.nbf-text" "a beginning that is text", "RFC 7519 §2" =>
        |given| claim(given, "nbf", &[json!("0"), json!("now"), json!("")]);
    "token.nbf-not-a-number" "a beginning that is a list, an object or a boolean", "RFC 7519 §2" =>
        |given| claim(given, "nbf", &[json!([0]), json!({}), json!(false)]);
    "token.nbf-past-all-measure" "a beginning beyond what any clock reads", "CWE-190" =>
        |given| raw(given, "nbf", &["18446744073709551615", "18446744073709551616", "1e300"]);
    "token.nbf-twice" "the beginning twice, past and future", "RFC 7519 §4" =>
        |given| given.mints(|it| {
            let open = it.without_claim("nbf");
            let open_text = open.payload_text().trim_end_matches('}').to_owned();
            ["0,\"nbf\":4102444800", "4102444800,\"nbf\":0"].map(|both| open.clone().raw_payload(format!("{open_text},\"nbf\":{both}}}")))
        });
    "token.iat-future" "a token that was issued in the future", "RFC 9068 §4" =>
        |given| given.mints(|it| [it.clone().moved("iat", 86_400).moved("exp", 3600)]);
    "token.iat-text" "a time of issue that is text", "RFC 7519 §4.1.6" =>
        |given| claim(given, "iat", &[json!("0"), json!("yesterday")]);
    "token.iat-not-a-number" "a time of issue that is a list, an object or a boolean", "RFC 7519 §4.1.6" =>
        |given| claim(given, "iat", &[json!([1]), json!({}), json!(true)]);
}

fn claim(given: &Given<'_>, name: &str, values: &[Value]) -> Made {
    given.mints(|it| {
        let tokens = values
            .iter()
            .map(|value| it.clone().claim(name, value.clone()));
        tokens.collect::<Vec<_>>()
    })
}

/// A claim whose value is any text.
fn raw(given: &Given<'_>, name: &str, values: &[&str]) -> Made {
    given.mints(|it| {
        let open = it.without_claim(name);
        let text = open.payload_text().trim_end_matches('}').to_owned();
        let token = |value: &&str| -> Token {
            open.clone()
                .raw_payload(format!("{text},\"{name}\":{value}}}"))
        };
        values.iter().map(token).collect::<Vec<_>>()
    })
}
