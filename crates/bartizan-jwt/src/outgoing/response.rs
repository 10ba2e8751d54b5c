//! What an authorization server answers to whoever asks for a token ([RFC 6749 §5.1]).
//!
//! [RFC 6749 §5.1]: https://www.rfc-editor.org/rfc/rfc6749#section-5.1

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::json::{self, Text};

/// The longest token in bytes that is taken. Servers and proxies seldom accept half of that.
const MAX_TOKEN: usize = 16 * 1024;

/// The longest time that a token is believed to hold.
const MAX_LIFETIME: u64 = 24 * 3600;

/// The kinds of token that may be sent as a bearer token ([RFC 8693 §3]).
///
/// [RFC 8693 §3]: https://www.rfc-editor.org/rfc/rfc8693#section-3
const TOKEN_TYPES: [&str; 2] = [
    "urn:ietf:params:oauth:token-type:access_token",
    "urn:ietf:params:oauth:token-type:jwt",
];

/// A token that can be sent as a bearer token.
pub(super) struct TokenResponse {
    pub(super) token: Zeroizing<String>,
    /// How long it holds, if the server says.
    pub(super) lifetime: Option<Duration>,
}

impl TokenResponse {
    /// Reads a response; that to an exchange says of what kind the token is.
    pub(super) fn parse(body: &[u8], is_exchange: bool) -> Result<Self, &'static str> {
        let (_, members): (_, Members<'_>) = json::read_members(body)?;
        let token = members.token.ok_or("the answer has no access_token")?;
        let is_token = !token.is_empty()
            && token.len() <= MAX_TOKEN
            && token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
        if !is_token {
            return Err("the access_token is not fit for a header");
        }
        //= RFC 6749 §7.1: The client MUST NOT use an access token if it does not understand the
        //= token type.
        match members.kind {
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
            Some(_) => return Err("the token is no bearer token"),
            None => return Err("the answer has no token_type"),
        }
        let issued = members.issued_type.as_deref();
        //= RFC 8693 §2.2.1: issued_token_type REQUIRED.
        if is_exchange && !issued.is_some_and(|issued| TOKEN_TYPES.contains(&issued)) {
            return Err("the issued_token_type is none that can be sent");
        }
        let lifetime = members
            .lifetime
            .map(|seconds| Duration::from_secs(seconds.min(MAX_LIFETIME)));
        Ok(Self { token, lifetime })
    }
}

/// The token of a response.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_token(body: &[u8], is_exchange: bool) -> Option<String> {
    let response = TokenResponse::parse(body, is_exchange).ok()?;
    Some(response.token.to_string())
}

#[derive(Default)]
struct Members<'a> {
    token: Option<Zeroizing<String>>,
    kind: Option<Cow<'a, str>>,
    lifetime: Option<u64>,
    issued_type: Option<Cow<'a, str>>,
}

impl<'a> json::Members<'a> for Members<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, input: &mut A) -> Result<bool, A::Error> {
        match name {
            "access_token" => {
                let token = input.next_value_seed(Text)?;
                self.token = Some(Zeroizing::new(token.into_owned()));
            }
            "token_type" => self.kind = Some(input.next_value_seed(Text)?),
            "expires_in" => self.lifetime = Some(input.next_value_seed(Seconds)?),
            "issued_token_type" => self.issued_type = Some(input.next_value_seed(Text)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Reads a span in seconds: a number, or its digits in a string, as some servers write it.
struct Seconds;

impl<'de> DeserializeSeed<'de> for Seconds {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Seconds {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds")
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<u64, E> {
        Ok(seconds)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<u64, E> {
        if seconds >= 0.0 {
            Ok(seconds as u64)
        } else {
            Err(E::custom("not a span of time"))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().map_err(E::custom)
        } else {
            Err(E::custom("not a span of time"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(body: &str, is_exchange: bool, expected: Result<(&str, Option<u64>), &str>) {
        let got = TokenResponse::parse(body.as_bytes(), is_exchange);
        let got = got.as_ref().map(|response| {
            (
                response.token.as_str(),
                response.lifetime.map(|span| span.as_secs()),
            )
        });
        assert_eq!(got.map_err(|problem| *problem), expected, "{body}");
    }

    #[test]
    fn a_bearer_token_is_read_with_its_lifetime() {
        let response =
            |rest: &str| format!(r#"{{"access_token":"a.b-c_d","token_type":"bearer"{rest}}}"#);
        check(&response(""), false, Ok(("a.b-c_d", None)));
        check(
            &response(r#","expires_in":300,"scope":"x","y":{"z":[1]}"#),
            false,
            Ok(("a.b-c_d", Some(300))),
        );
        check(
            &response(r#","expires_in":"300""#),
            false,
            Ok(("a.b-c_d", Some(300))),
        );
        check(
            &response(r#","expires_in":300.9"#),
            false,
            Ok(("a.b-c_d", Some(300))),
        );
        check(
            &response(r#","expires_in":18446744073709551615"#),
            false,
            Ok(("a.b-c_d", Some(MAX_LIFETIME))),
        );
        let issued = r#","issued_token_type":"urn:ietf:params:oauth:token-type:access_token""#;
        check(&response(issued), true, Ok(("a.b-c_d", None)));
    }

    #[test]
    fn anything_else_is_no_token() {
        let (json, header) = (
            "the answer is not strict JSON",
            "the access_token is not fit for a header",
        );
        for (body, expected) in [
            ("", json),
            ("[]", json),
            ("<html>", json),
            (
                r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
                json,
            ),
            (
                r#"{"access_token":"a","token_type":"Bearer","x":1,"x":2}"#,
                json,
            ),
            (r#"{"access_token":1,"token_type":"Bearer"}"#, json),
            (
                r#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#,
                json,
            ),
            (
                r#"{"access_token":"a","token_type":"Bearer","expires_in":"1x"}"#,
                json,
            ),
            (r#"{"access_token":"a","token_type":"Bearer"} x"#, json),
            (
                r#"{"token_type":"Bearer"}"#,
                "the answer has no access_token",
            ),
            (r#"{"access_token":"","token_type":"Bearer"}"#, header),
            (r#"{"access_token":"a b","token_type":"Bearer"}"#, header),
            (
                r#"{"access_token":"a\r\nX: y","token_type":"Bearer"}"#,
                header,
            ),
            (r#"{"access_token":"é","token_type":"Bearer"}"#, header),
            (r#"{"access_token":"a"}"#, "the answer has no token_type"),
            (
                r#"{"access_token":"a","token_type":"DPoP"}"#,
                "the token is no bearer token",
            ),
            (
                r#"{"access_token":"a","token_type":"N_A"}"#,
                "the token is no bearer token",
            ),
        ] {
            check(body, false, Err(expected));
        }
        let long = format!(
            r#"{{"access_token":"{}","token_type":"Bearer"}}"#,
            "a".repeat(MAX_TOKEN + 1)
        );
        check(&long, false, Err(header));
    }

    #[test]
    fn an_exchange_gives_a_token_of_a_kind_that_can_be_sent() {
        let kind = "the issued_token_type is none that can be sent";
        for issued in [
            "",
            r#","issued_token_type":"urn:ietf:params:oauth:token-type:saml2""#,
            r#","issued_token_type":"urn:ietf:params:oauth:token-type:refresh_token""#,
        ] {
            let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{issued}}}"#);
            check(&body, true, Err(kind));
        }
    }

    proptest! {
        #[test]
        fn never_panics(body: Vec<u8>, is_exchange: bool) {
            let _ = TokenResponse::parse(&body, is_exchange).is_ok();
        }

        #[test]
        fn what_is_read_is_fit_for_a_header(token in "[ -~é\r\n]{0,20}", seconds in "[0-9e.\"-]{0,8}") {
            let token = serde_json::json!(token);
            let body = format!(r#"{{"access_token":{token},"token_type":"Bearer","expires_in":{seconds}}}"#);
            if let Ok(response) = TokenResponse::parse(body.as_bytes(), false) {
                prop_assert!(http::HeaderValue::from_str(&response.token).is_ok());
                prop_assert!(!response.token.contains([' ', ',', '"']));
            }
        }
    }
}
