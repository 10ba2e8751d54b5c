//! The identifier of an issuer.

use std::fmt;

use bartizan_core::TrustDomain;

use crate::error::ConfigError;

/// Who issues tokens: an HTTPS URL without query and fragment ([RFC 8414 §2]).
///
/// Compared code point by code point with `iss` ([RFC 7519 §2]): another case or a trailing slash
/// is another issuer. `http` is accepted for `localhost`, `127.0.0.1` and `[::1]`, where
/// development servers listen. The issuer of JWT-SVIDs is their trust domain, `spiffe://` and its
/// name; see [`Rules::svid`](crate::Rules::svid).
///
/// ```
/// use bartizan_jwt::Issuer;
///
/// assert!(Issuer::new("https://issuer.example/tenant").is_ok());
/// assert!(Issuer::new("http://issuer.example").is_err());
/// ```
///
/// [RFC 7519 §2]: https://www.rfc-editor.org/rfc/rfc7519#section-2
/// [RFC 8414 §2]: https://www.rfc-editor.org/rfc/rfc8414#section-2
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Issuer(Box<str>);

impl Issuer {
    /// Checks and takes over an identifier.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidIssuer`], with what is wrong.
    pub fn new(issuer: &str) -> Result<Self, ConfigError> {
        match check(issuer) {
            None if !issuer.contains('?') => Ok(Self(issuer.into())),
            problem => Err(ConfigError::InvalidIssuer {
                issuer: issuer.to_owned(),
                problem: problem.unwrap_or("has a query"),
            }),
        }
    }

    /// The trust domain that issues JWT-SVIDs.
    pub(crate) fn trust_domain(domain: &TrustDomain) -> Self {
        Self(format!("spiffe://{domain}").into())
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What keeps a text from being the URL of something that keys may come from.
pub(crate) fn check(url: &str) -> Option<&'static str> {
    let (rest, is_plain) = match url.strip_prefix("https://") {
        Some(rest) => (rest, false),
        None => match url.strip_prefix("http://") {
            Some(rest) => (rest, true),
            None => return Some("does not begin with https://"),
        },
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("has white space, control characters or characters beyond ASCII")
    } else if host.is_empty() {
        Some("has no host")
    } else if authority.contains('@') {
        Some("has user information")
    } else if url.contains('#') {
        Some("has a fragment")
    } else if is_plain && !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        Some("is not https")
    } else {
        None
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.0)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_issuer(text: &str, expected: bool) {
        assert_eq!(Issuer::new(text).is_ok(), expected, "{text:?}");
    }

    #[test]
    fn an_issuer_is_an_https_url_without_query_and_fragment() {
        for text in [
            "https://issuer.example",
            "https://issuer.example/",
            "https://issuer.example:8443/realms/a",
            "http://localhost:8080/realms/a",
            "http://127.0.0.1:1",
            "http://[::1]:1/x",
        ] {
            check_issuer(text, true);
        }
        for text in [
            "",
            "issuer",
            "ftp://issuer.example",
            "HTTPS://issuer.example",
            "http://issuer.example",
            "http://localhost.evil.example",
            "http://127.0.0.1@evil.example",
            "https://user@issuer.example",
            "https://",
            "https:///path",
            "https://:443",
            "https://issuer.example?x",
            "https://issuer.example#x",
            "https://issuer.example/a b",
            "https://issuer.example\n",
            "https://issüer.example",
        ] {
            check_issuer(text, false);
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_printable_and_has_a_host(text in "(https?://)?.{0,30}") {
            if Issuer::new(&text).is_ok() {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!text.contains(['@', '#', '?']));
                let plain = text.starts_with("http://");
                prop_assert!(!plain || text.contains("localhost") || text.contains("127.0.0.1")
                    || text.contains("[::1]"));
            }
        }
    }
}
