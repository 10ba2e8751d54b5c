//! What secrets look like, by their names and by themselves: no rule can let them in.

use std::borrow::Cow;

use serde_json::Value;

use crate::record::shortened;

/// What stands for a value that looks like a credential.
pub(crate) const REDACTED: &str = "[redacted]";

/// Parts of names whose values are secrets.
const PARTS: [&str; 24] = [
    "accesskey",
    "apikey",
    "assertion",
    "authkey",
    "authorization",
    "bearer",
    "connectionstring",
    "cookie",
    "credential",
    "cvv",
    "dpop",
    "functionskey",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "session",
    "signature",
    "signingkey",
    "subscriptionkey",
    "token",
    "websocketprotocol",
];

/// Names that are too short to be a part of one: the code of an OAuth redirect is as good as a
/// token, and `sig` is what signs a link to a store.
const WHOLE: [&str; 10] = [
    "auth", "code", "cvc", "key", "otp", "pass", "pin", "pwd", "sid", "sig",
];

/// Beginnings of tokens that issuers made to be told, and how many characters follow at least.
const KNOWN: [&str; 16] = [
    "AIza",
    "AKIA",
    "SG.",
    "ghp_",
    "gho_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "hvs.",
    "npm_",
    "rk_live_",
    "sk_live_",
    "xoxb-",
    "xoxp-",
];

/// How many characters of a token follow its known beginning at least.
const SHORTEST_TOKEN: usize = 16;

/// The shortest name that is looked at.
const SHORTEST_NAME: usize = 3;

/// How much of a value is looked at. Less than that is recorded, so that what is recorded was
/// looked at with what stands behind it, and no client can make this take long.
const LONGEST_LOOK: usize = 4 * 1024;

/// Whether what has this name is a secret. Of a JSON pointer, any of its steps can name one.
pub(crate) fn names_a_secret(name: &str) -> bool {
    if name.len() < SHORTEST_NAME {
        return false;
    }
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    let whole = match name.contains('~') {
        // What a pointer writes for a tilde and a slash.
        true => plain(&name.replace("~0", "").replace("~1", "")),
        false => plain(name),
    };
    PARTS.iter().any(|part| whole.contains(part))
        || WHOLE.contains(&&*whole)
        || (name.contains('/') && name.split('/').any(|step| WHOLE.contains(&&*plain(step))))
}

/// The value, or what stands for it if it looks like a credential.
pub(crate) fn redacted(value: &str) -> &str {
    if looks_secret(value) { REDACTED } else { value }
}

/// Whether a value is a credential by its looks, or holds one, whatever its name is. Also behind
/// percent signs, twice if need be: queries are recorded as they were sent.
pub(crate) fn looks_secret(value: &str) -> bool {
    let value = shortened(value, LONGEST_LOOK);
    // As every gRPC method is, which is looked at with each call.
    if value.bytes().all(is_plain) {
        return is_jws(value) || has_known_beginning(value);
    }
    if shows_a_secret(value) {
        return true;
    }
    let mut value = Cow::Borrowed(value);
    for _ in 0..2 {
        let Some(decoded) = percent_decoded(&value) else {
            return false;
        };
        if shows_a_secret(&decoded) {
            return true;
        }
        value = Cow::Owned(decoded);
    }
    false
}

/// Whether a byte begins none of the forms that take more than a word.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_')
}

/// The dots of a JWS, and the base64url form of `{"`.
fn is_jws(value: &str) -> bool {
    let dots = value.bytes().filter(|byte| *byte == b'.').count();
    dots >= 2 && value.contains("eyJ")
}

fn shows_a_secret(value: &str) -> bool {
    names_a_scheme(value)
        || is_jws(value)
        || value.contains("PRIVATE KEY-----")
        || has_known_beginning(value)
        || (value.contains("://") && has_user_information(value))
        || (value.contains('=') && has_secret_pair(value))
}

/// Whether a value begins as that of an `authorization` header does.
fn names_a_scheme(value: &str) -> bool {
    let schemes = ["basic", "bearer", "dpop", "digest"];
    value.split_once(' ').is_some_and(|(scheme, _)| {
        schemes
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
    })
}

fn has_known_beginning(value: &str) -> bool {
    let in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let words = value.as_bytes().split(|byte| !in_token(byte));
    // Most words are too short.
    words
        .filter(|word| word.len() > SHORTEST_TOKEN)
        .any(|word| {
            KNOWN.iter().any(|known| {
                let token = word.strip_prefix(known.as_bytes());
                token.is_some_and(|token| token.len() >= SHORTEST_TOKEN)
            })
        })
}

/// Whether a URL names a user and a password.
fn has_user_information(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ', '"']).next();
        authority.is_some_and(|it| it.split_once('@').is_some_and(|(it, _)| it.contains(':')))
    })
}

/// Whether a URL, a cookie or a form names a secret, and says it.
fn has_secret_pair(value: &str) -> bool {
    let pairs = value.split(['?', '&', ';', '#', ',', ' ', '"', '\'']);
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs.any(|(name, value)| !value.is_empty() && names_a_secret(name))
}

/// What a text is that was encoded for a URL; `None` if it was not.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match (first, behind) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (other, _) => *other,
        });
    }
    let decoded = String::from_utf8_lossy(&bytes).into_owned();
    (decoded != text).then_some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// A JSON value, without the secrets in it: members that name one, and texts that look like one.
pub(crate) fn without_secrets(value: &Value) -> Value {
    match value {
        Value::String(text) if looks_secret(text) => REDACTED.into(),
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let kept = if names_a_secret(name) {
                    REDACTED.into()
                } else {
                    without_secrets(value)
                };
                // A name can be a secret as well, in a map from tokens to something.
                (redacted(name).to_owned(), kept)
            });
            members.collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_secrets_are_told() {
        for (name, expected) in [
            ("Authorization", true),
            ("proxy-authorization", true),
            ("cookie", true),
            ("Set-Cookie", true),
            ("x-api-key", true),
            ("X-Amz-Security-Token", true),
            ("x-functions-key", true),
            ("sec-websocket-protocol", true),
            ("access_token", true),
            ("client_secret", true),
            ("code", true),
            ("key", true),
            ("sig", true),
            ("/login/password", true),
            ("/card/cvc", true),
            ("/api/key/id", true),
            ("/pass~1word", true),
            ("country-code", false),
            ("/signals/0", false),
            ("idempotency-key", false),
            ("pinned", false),
            ("user-agent", false),
            ("/order/id", false),
        ] {
            assert_eq!(names_a_secret(name), expected, "{name}");
        }
    }

    #[test]
    fn values_that_look_like_a_credential_are_told() {
        for (value, expected) in [
            ("Bearer abc", true),
            ("Bearer%20abc", true),
            ("bearer+abc", true),
            ("Bearer%2520abc", true),
            ("bearer", false),
            ("see eyJhbGciOiJub25lIn0.e30.", true),
            ("a%2EeyJhbGciOiJub25lIn0%2Ee30", true),
            ("-----BEGIN PRIVATE KEY-----", true),
            ("https://app.example/callback?state=1&code=abc", true),
            ("https%3A%2F%2Fapp.example%2F%3Fcode%3Dabc", true),
            ("https://app.example/?page=1#access_token=abc", true),
            ("https://app.example/?page=1&code=", false),
            ("theme=dark; session=abc", true),
            ("https://user:word@host.example/", true),
            ("https://user@host.example:8080/a:b@c", false),
            ("ghp_0123456789abcdefghij", true),
            ("key AKIAIOSFODNN7EXAMPLEX", true),
            ("AKIA was here", false),
            ("/x/ghp_0123456789abcdefghij", true),
            ("/shop.v1.PaymentsService/Charge", false),
            ("/v1.eyJhbGciOiJub25lIn0.e30/x", true),
            ("curl/8.0", false),
            ("a.b.c", false),
            ("Mozilla/5.0 (X11; Linux x86_64) q=0.9", false),
            ("100%", false),
            ("", false),
        ] {
            assert_eq!(looks_secret(value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_recorded_of_a_long_value_was_looked_at() {
        // A text is cut behind 1 KiB when it is recorded.
        for before in [0, 500, 1000, 1020] {
            let value = format!("{} token=abc", "x".repeat(before));
            assert!(looks_secret(&value), "{before}");
            let long = format!("{value}{}", "y".repeat(100_000));
            assert!(looks_secret(&long), "{before}");
        }
        assert!(!looks_secret(&"abc=1&".repeat(20_000)));
    }

    #[test]
    fn secrets_inside_a_document_are_left_out() {
        let document = serde_json::json!({
            "id": 17,
            "login": {"user": "alice", "password": "CANARY"},
            "notes": ["fine", "Bearer CANARY", {"otp": 123_456}],
            "ghp_0123456789CANARYabcd": true,
        });
        let expected = serde_json::json!({
            "id": 17,
            "login": {"user": "alice", "password": REDACTED},
            "notes": ["fine", REDACTED, {"otp": REDACTED}],
            REDACTED: true,
        });
        assert_eq!(without_secrets(&document), expected);
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(text in any::<String>(), encoded in "(%[0-9a-fA-F]{0,2}|[a-z+=&?])*") {
            let _ = (looks_secret(&text), names_a_secret(&text), looks_secret(&encoded));
        }

        #[test]
        fn a_bearer_token_is_told_however_it_is_encoded(token in "[A-Za-z0-9._~+/-]{1,40}") {
            let plain = format!("Bearer {token}");
            let encode = |text: &str| -> String {
                text.bytes().map(|byte| format!("%{byte:02x}")).collect()
            };
            prop_assert!(looks_secret(&plain));
            prop_assert!(looks_secret(&encode(&plain)));
            prop_assert!(looks_secret(&encode(&encode(&plain))));
        }
    }
}
