//! Whose token it is, and for whom.

use serde_json::{Value, json};

use crate::given::{Given, Made};
use crate::table::table;
use crate::token::Token;

table! { Tokens;
    "token.iss-other" "a token of another issuer", "RFC 9068 §4" =>
        |given| claim(given, "iss", &[json!("https://issuer.invalid")]);
    "token.iss-missing" "a token that does not say who issued it", "RFC 9068 §2.2" =>
        |given| given.mints(|it| [it.without_claim("iss")]);
    "token.iss-empty" "an issuer without a name", "RFC 9068 §4" =>
        |given| claim(given, "iss", &[json!(""), json!(" ")]);
    "token.iss-not-a-string" "an issuer that is null, a number or an object", "RFC 7519 §4.1.1" =>
        |given| claim(given, "iss", &[Value::Null, json!(1), json!({}), json!(true)]);
    "token.iss-list" "a list of issuers with the right one in it", "RFC 7519 §4.1.1" =>
        |given| claims(given, "iss", |right| vec![json!([right]), json!([right, "x"])]);
    "token.iss-in-other-case" "the right issuer in other case", "RFC 7519 §2" =>
        |given| claims(given, "iss", |right| vec![json!(right.to_uppercase())]);
    "token.iss-with-slash" "the right issuer with a slash behind it", "RFC 9068 §4" =>
        |given| claims(given, "iss", |right| vec![json!(format!("{right}/")), json!(format!("{right}//"))]);
    "token.iss-with-white-space" "the right issuer with white space around it", "RFC 9068 §4" =>
        |given| claims(given, "iss", |right| [format!(" {right}"), format!("{right} "), format!("{right}\n"), format!("{right}\0")].map(Value::from).to_vec());
    "token.iss-longer" "an issuer that begins with the right one", "RFC 9068 §4" =>
        |given| claims(given, "iss", |right| [format!("{right}.invalid"), format!("{right}@invalid"), format!("{right}#x"), format!("{right}?x")].map(Value::from).to_vec());
    "token.iss-shorter" "an issuer that the right one begins with", "RFC 9068 §4" =>
        |given| claims(given, "iss", |right| {
            let shorter = right.get(..right.len().saturating_sub(1)).unwrap_or_default();
            vec![json!(shorter), json!(right.split("//").next())]
        });
    "token.iss-ends-in-it" "an issuer that ends in the right one", "RFC 9068 §4" =>
        |given| claims(given, "iss", |right| vec![json!(format!("https://invalid/{right}")), json!(format!("x{right}"))]);
    "token.iss-look-alike" "an issuer with a letter of another alphabet", "CWE-1007" =>
        |given| claims(given, "iss", |right| vec![json!(right.replacen(['o', 'e', 'a', 'i', 'p'], "\u{043e}", 1)), json!(format!("{right}\u{200b}"))]);
    "token.iss-other-scheme" "the right issuer by another scheme", "RFC 9068 §4" =>
        |given| claims(given, "iss", |right| vec![json!(right.replacen("https", "http", 1).replacen("http:", "ftp:", 1)), json!(right.trim_start_matches("https://"))]);
    "token.iss-twice" "the issuer twice, the right one first or last", "RFC 7519 §4" =>
        |given| twice(given, "iss", "\"https://issuer.invalid\"");
    "token.aud-other" "a token for another service", "RFC 9068 §4" =>
        |given| claim(given, "aud", &[json!("https://other.invalid"), json!(["a", "b"])]);
    "token.aud-missing" "a token for nobody in particular", "RFC 9068 §2.2" =>
        |given| given.mints(|it| [it.without_claim("aud")]);
    "token.aud-empty" "an empty audience, or an empty list", "RFC 7519 §4.1.3" =>
        |given| claim(given, "aud", &[json!(""), json!([]), json!([""])]);
    "token.aud-not-a-string" "an audience that is null, a number or an object", "RFC 7519 §4.1.3" =>
        |given| claim(given, "aud", &[Value::Null, json!(1), json!({}), json!(true)]);
    "token.aud-nested" "a list in a list of audiences", "RFC 7519 §4.1.3" =>
        |given| claims(given, "aud", |right| vec![json!([[right]]), json!({ "aud": right })]);
    "token.aud-mixed" "a list of audiences with what is no string beside the right one", "RFC 7519 §4.1.3" =>
        |given| claims(given, "aud", |right| vec![json!([right, 1]), json!([null, right]), json!([right, {}])]);
    "token.aud-in-other-case" "the right audience in other case", "RFC 7519 §4.1.3" =>
        |given| claims(given, "aud", |right| {
            let upper = right.to_uppercase();
            vec![json!(if upper == right { right.to_lowercase() } else { upper })]
        });
    "token.aud-longer" "an audience that begins with the right one", "RFC 9068 §4" =>
        |given| claims(given, "aud", |right| [format!("{right}-admin"), format!("{right}/"), format!("{right}.invalid"), format!("x{right}")].map(Value::from).to_vec());
    "token.aud-shorter" "an audience that the right one begins with", "RFC 9068 §4" =>
        |given| claims(given, "aud", |right| vec![json!(right.get(..right.len().saturating_sub(1)))]);
    "token.aud-pattern" "a pattern as the audience", "RFC 9068 §4" =>
        |given| claim(given, "aud", &[json!("*"), json!(".*"), json!("%"), json!("https://*")]);
    "token.aud-joined" "several audiences in one string", "RFC 7519 §4.1.3" =>
        |given| claims(given, "aud", |right| [format!("{right} other"), format!("other,{right}"), format!("{right};x")].map(Value::from).to_vec());
    "token.aud-with-white-space" "the right audience with white space around it", "RFC 9068 §4" =>
        |given| claims(given, "aud", |right| [format!(" {right}"), format!("{right} "), format!("{right}\t"), format!("{right}\0")].map(Value::from).to_vec());
    "token.aud-twice" "the audience twice, the right one first or last", "RFC 7519 §4" =>
        |given| twice(given, "aud", "\"https://other.invalid\"");
    "token.aud-of-a-client" "an ID token, whose audience is a client", "RFC 9068 §5" =>
        |given| given.mints(|it| {
            let it = it.header("typ", "JWT").claim("aud", "test-client").claim("azp", "test-client");
            [it.claim("nonce", "n").claim("at_hash", "AAAA").claim("auth_time", 1)]
        });
}

fn claim(given: &Given<'_>, name: &str, values: &[Value]) -> Made {
    given.mints(|it| {
        let tokens = values
            .iter()
            .map(|value| it.clone().claim(name, value.clone()));
        tokens.collect::<Vec<_>>()
    })
}

/// The claim with values that are made from the right one.
fn claims(given: &Given<'_>, name: &str, make: impl FnOnce(&str) -> Vec<Value>) -> Made {
    given.mints(|it| {
        let right = right(&it, name);
        let values = make(&right);
        let tokens = values
            .into_iter()
            .map(|value| it.clone().claim(name, value));
        tokens.collect::<Vec<_>>()
    })
}

/// The right value of a claim; of a list its first.
fn right(token: &Token, name: &str) -> String {
    let value = token.claims.get(name);
    let first = value.and_then(|it| it.get(0)).or(value);
    first.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn twice(given: &Given<'_>, name: &str, other: &str) -> Made {
    given.mints(|it| {
        let right = it
            .claims
            .get(name)
            .map(Value::to_string)
            .unwrap_or_default();
        let open = it.without_claim(name);
        let text = open.payload_text().trim_end_matches('}').to_owned();
        [(right.as_str(), other), (other, right.as_str())].map(|(a, b)| {
            open.clone()
                .raw_payload(format!("{text},\"{name}\":{a},\"{name}\":{b}}}"))
        })
    })
}
