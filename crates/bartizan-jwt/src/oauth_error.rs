//! What an authorization server says is wrong with a request.

use std::fmt;

use serde::de::{Error, MapAccess};

use crate::json::{self, Text};

/// The error codes of [RFC 6749 §5.2], [RFC 8693 §2.2.2] and [RFC 8707 §2], and two of [RFC 6749
/// §4.1.2.1] that servers use here as well. What a server says
/// beside the code is not kept: it is text of another party's, fit for no log and no client.
///
/// [RFC 6749 §4.1.2.1]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1
/// [RFC 6749 §5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
/// [RFC 8693 §2.2.2]: https://www.rfc-editor.org/rfc/rfc8693#section-2.2.2
/// [RFC 8707 §2]: https://www.rfc-editor.org/rfc/rfc8707#section-2
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OAuthError {
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    ServerError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    /// A code that none of these specifications knows, or none at all.
    Other,
}

impl OAuthError {
    const KNOWN: [Self; 9] = [
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::InvalidRequest,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::ServerError,
        Self::TemporarilyUnavailable,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::Other => "other",
        }
    }

    /// Reads the code of an error response; `None` if it is none.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (_, Stated(code)) = json::read_members(body).ok()?;
        code
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an answer says in `error`.
#[derive(Default)]
struct Stated(Option<OAuthError>);

impl<'a> json::Members<'a> for Stated {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, input: &mut A) -> Result<bool, A::Error> {
        if name != "error" {
            return Ok(false);
        }
        let text = input.next_value_seed(Text)?;
        if text.is_empty() {
            return Err(A::Error::custom("no code"));
        }
        let known = OAuthError::KNOWN.into_iter();
        let code = known.into_iter().find(|code| code.name() == text);
        self.0 = Some(code.unwrap_or(OAuthError::Other));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<OAuthError>) {
        assert_eq!(OAuthError::read(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn known_codes_are_told_apart_and_others_are_other() {
        for code in OAuthError::KNOWN {
            check(&format!(r#"{{"error":"{code}"}}"#), Some(code));
        }
        let described = r#"{"error_description":"x","error":"invalid_grant","y":[1]}"#;
        check(described, Some(OAuthError::InvalidGrant));
        check(r#"{"error":"slow_down"}"#, Some(OAuthError::Other));
    }

    #[test]
    fn what_is_no_error_response_has_no_code() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"error":""}"#,
            r#"{"error":1}"#,
            r#"{"error":"invalid_grant","error":"invalid_client"}"#,
            r#"{"error":"invalid_grant"} x"#,
        ] {
            check(body, None);
        }
    }

    proptest! {
        #[test]
        fn never_panics(body: Vec<u8>) {
            let _ = OAuthError::read(&body);
        }
    }
}
