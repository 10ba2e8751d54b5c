//! Where a URL leads, and whether we go there.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;

use crate::https::error::{FetchError, FetchErrorKind};

/// A URL that was found fit to be fetched.
#[derive(Debug)]
pub(super) struct Target {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// The `Host` header's value.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: Uri,
}

/// Longer URLs are nobody's configuration.
const URL_LIMIT: usize = 2048;

impl Target {
    pub(super) fn parse(url: &str, plaintext_loopback: bool) -> Result<Self, FetchError> {
        let invalid = |reason: &str| FetchError::new(FetchErrorKind::InvalidUrl, reason);
        if url.len() > URL_LIMIT {
            return Err(invalid("the URL is too long"));
        }
        let uri: Uri = url
            .parse()
            .map_err(|_| invalid("the URL cannot be parsed"))?;
        let authority = uri
            .authority()
            .ok_or_else(|| invalid("the URL has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("the URL carries a user name"));
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(invalid("the URL has no host"));
        }
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => {
                if !(plaintext_loopback && is_loopback(host)) {
                    let message = format!("plaintext is not permitted to {host}");
                    return Err(FetchError::new(FetchErrorKind::Scheme, message));
                }
                false
            }
            _ => {
                return Err(FetchError::new(
                    FetchErrorKind::Scheme,
                    "the scheme is not https",
                ));
            }
        };
        // `port()` is `None` for a port that is empty or out of range, too.
        let port = match (authority.port_u16(), authority.as_str().rsplit_once(host)) {
            (Some(0), _) => return Err(invalid("the URL has no valid port")),
            (Some(port), _) => port,
            (None, Some((_, "" | "]"))) => {
                if tls {
                    443
                } else {
                    80
                }
            }
            (None, _) => return Err(invalid("the URL has no valid port")),
        };
        let path = uri
            .path_and_query()
            .cloned()
            .map_or_else(Uri::default, Uri::from);
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
            authority: authority.to_string(),
            path,
        })
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_host_port_and_path() {
        fn check(url: &str, expected: (&str, u16, bool, &str, &str)) {
            let target = Target::parse(url, true).expect(url);
            let path = target.path.to_string();
            let found = (
                &*target.host,
                target.port,
                target.tls,
                &*target.authority,
                path.as_str(),
            );
            assert_eq!(found, expected, "{url}");
        }
        check(
            "https://a.example/k?x=1#f",
            ("a.example", 443, true, "a.example", "/k?x=1"),
        );
        check(
            "https://a.example:8443",
            ("a.example", 8443, true, "a.example:8443", "/"),
        );
        check(
            "HTTPS://a.example?x",
            ("a.example", 443, true, "a.example", "/?x"),
        );
        check(
            "https://[2001:db8::1]/",
            ("2001:db8::1", 443, true, "[2001:db8::1]", "/"),
        );
        check("https://[::1]:9/", ("::1", 9, true, "[::1]:9", "/"));
        check(
            "http://127.0.0.9:80/",
            ("127.0.0.9", 80, false, "127.0.0.9:80", "/"),
        );
        check(
            "http://LocalHost/",
            ("LocalHost", 80, false, "LocalHost", "/"),
        );
    }

    #[test]
    fn refuses_what_it_must_not_fetch() {
        fn check(url: &str, plaintext_loopback: bool, expected: FetchErrorKind) {
            let error = Target::parse(url, plaintext_loopback).expect_err(url);
            assert_eq!(error.kind(), expected, "{url}");
        }
        use FetchErrorKind::{InvalidUrl, Scheme};
        check("http://localhost/", false, Scheme);
        check("http://a.example/", true, Scheme);
        check("http://localhost.a.example/", true, Scheme);
        check("http://127.0.0.1.a.example/", true, Scheme);
        check("http://10.0.0.1/", true, Scheme);
        check("http://0.0.0.0/", true, Scheme);
        check("ftp://a.example/", true, Scheme);
        check("file:///etc/passwd", true, InvalidUrl);
        check("/etc/passwd", true, InvalidUrl);
        check("a.example", true, Scheme);
        check("", true, InvalidUrl);
        check("https://", true, InvalidUrl);
        check("https://user:secret@a.example/", true, InvalidUrl);
        check("https://a.example:99999/", true, InvalidUrl);
        check("https://a.example:/", true, InvalidUrl);
        check("https://a.example:0/", true, InvalidUrl);
        check(
            &format!("https://a.example/{}", "x".repeat(URL_LIMIT)),
            true,
            InvalidUrl,
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_never_allows_foreign_plaintext(url in "(https?://)?[ -~]{0,60}") {
            if let Ok(target) = Target::parse(&url, true) {
                prop_assert!(target.tls || is_loopback(&target.host));
            }
        }
    }
}
