//! Whether a service refused the token that it was sent.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Response, StatusCode};

/// Whether a response says that the token does not hold: 401, or gRPC's `UNAUTHENTICATED`, with
/// the error `invalid_token` in a challenge ([RFC 6750 §3.1]).
///
/// [RFC 6750 §3.1]: https://www.rfc-editor.org/rfc/rfc6750#section-3.1
pub(crate) fn says_invalid_token<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    let is_refusal = response.status() == StatusCode::UNAUTHORIZED
        || headers
            .get("grpc-status")
            .is_some_and(|status| status == "16");
    is_refusal && has_error(headers)
}

fn has_error(headers: &HeaderMap) -> bool {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .any(|challenge| outside_quotes(challenge.as_bytes()))
}

/// Whether the parameter `error` of a challenge is `invalid_token`. Its name counts only outside
/// of quotes, where it is no part of another parameter's value.
fn outside_quotes(challenge: &[u8]) -> bool {
    let mut rest = challenge;
    let mut previous = b' ';
    while let Some((first, tail)) = rest.split_first() {
        let begins_a_name = matches!(previous, b' ' | b'\t' | b',');
        if begins_a_name && names_error(rest) {
            return true;
        }
        previous = *first;
        rest = tail;
        if *first == b'"' {
            rest = behind_quotes(rest);
        }
    }
    false
}

fn names_error(text: &[u8]) -> bool {
    let Some((name, rest)) = text.split_at_checked(5) else {
        return false;
    };
    if !name.eq_ignore_ascii_case(b"error") {
        return false;
    }
    let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else {
        return false;
    };
    let value = value.trim_ascii_start();
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    value.strip_prefix(b"invalid_token").is_some_and(|behind| {
        behind
            .first()
            .is_none_or(|byte| matches!(byte, b'"' | b',' | b' ' | b'\t'))
    })
}

fn behind_quotes(mut text: &[u8]) -> &[u8] {
    while let Some((first, tail)) = text.split_first() {
        text = tail;
        match first {
            b'"' => break,
            b'\\' => text = tail.get(1..).unwrap_or_default(),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(status: u16, grpc: Option<&'static str>, challenge: &'static str, expected: bool) {
        let mut response = Response::builder().status(status);
        if let Some(code) = grpc {
            response = response.header("grpc-status", code);
        }
        let response = response
            .header(WWW_AUTHENTICATE, challenge)
            .body(())
            .unwrap();
        assert_eq!(
            says_invalid_token(&response),
            expected,
            "{status} {challenge}"
        );
    }

    #[test]
    fn only_a_challenge_with_this_error_says_so() {
        for challenge in [
            r#"Bearer realm="x", error="invalid_token""#,
            r#"Bearer error=invalid_token"#,
            r#"Bearer realm="a \" b",ERROR = "invalid_token", error_description="x""#,
            r#"Basic realm="x", Bearer error="invalid_token""#,
        ] {
            check(401, None, challenge, true);
            check(200, Some("16"), challenge, true);
            check(403, None, challenge, false);
            check(200, Some("7"), challenge, false);
        }
        for challenge in [
            "Bearer",
            r#"Bearer error="insufficient_scope""#,
            r#"Bearer error="invalid_token_x""#,
            r#"Bearer realm="x, error=invalid_token""#,
            r#"Bearer realm="\", error=invalid_token""#,
            r#"Bearer other_error="invalid_token""#,
            r#"Bearer xerror=invalid_token"#,
        ] {
            check(401, None, challenge, false);
        }
    }

    proptest! {
        #[test]
        fn never_panics(challenge: Vec<u8>) {
            let _ = outside_quotes(&challenge);
        }
    }
}
