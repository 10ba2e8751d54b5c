//! Where tokens may go.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

use crate::error::ConfigError;
use crate::issuer;

/// Scheme, host and port of a service that may be sent tokens.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Destination {
    is_tls: bool,
    host: Box<str>,
    port: u16,
}

/// The services that may be sent tokens, and nobody else.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations {
    list: Vec<Destination>,
    /// Where requests go that do not say it themselves.
    bare: Option<Destination>,
}

impl Destination {
    /// Reads an origin: scheme, host and port. Plain HTTP only to loopback, or where the caller
    /// vouches for the connection.
    pub(super) fn parse(origin: &str, allows_http: bool) -> Result<Self, ConfigError> {
        let invalid = |problem| ConfigError::InvalidDestination {
            origin: origin.to_owned(),
            problem,
        };
        match issuer::check(origin) {
            Some("is not https") if allows_http => {}
            Some(problem) => return Err(invalid(problem)),
            None => {}
        }
        let uri: Uri = origin.parse().map_err(|_| invalid("is no URL"))?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(invalid("is not scheme, host and port alone"));
        }
        Self::of(&uri).ok_or_else(|| invalid("is no origin"))
    }

    fn of(uri: &Uri) -> Option<Self> {
        let authority = uri.authority()?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return None,
        };
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return None;
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            // `port_u16` is nothing for a port that is empty or out of range, too.
            None if authority.as_str() != host => return None,
            None if is_tls => 443,
            None => 80,
        };
        Some(Self {
            is_tls,
            host: host.to_ascii_lowercase().into(),
            port,
        })
    }
}

impl Destinations {
    pub(super) fn add(&mut self, destination: Destination) {
        self.list.push(destination);
    }

    /// Says where requests go that do not say it themselves.
    pub(super) fn set_bare(&mut self, destination: Destination) {
        self.list.push(destination.clone());
        self.bare = Some(destination);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a request to `uri` may carry a token.
    pub(super) fn allow(&self, uri: &Uri) -> bool {
        if uri.authority().is_none() && uri.scheme().is_none() {
            return self.bare.is_some();
        }
        Destination::of(uri).is_some_and(|destination| self.list.contains(&destination))
    }
}

/// Whether a token for this origin may go to that URI, if it is an origin.
#[cfg(feature = "fuzzing")]
pub(crate) fn leads_to(origin: &str, uri: &Uri) -> Option<bool> {
    let mut destinations = Destinations::default();
    destinations.add(Destination::parse(origin, true).ok()?);
    Some(destinations.allow(uri))
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(origin: &str) -> Destinations {
        let mut destinations = Destinations::default();
        destinations.add(Destination::parse(origin, false).unwrap());
        destinations
    }

    #[test]
    fn an_origin_has_a_scheme_that_keeps_secrets_and_no_path() {
        for (origin, expected) in [
            ("https://b.example", true),
            ("https://b.example/", true),
            ("https://b.example:8443", true),
            ("http://127.0.0.1:80", true),
            ("http://localhost", true),
            ("http://b.example", false),
            ("https://b.example/path", false),
            ("https://b.example?x", false),
            ("https://user@b.example", false),
            ("https://b.example:0x", false),
            ("b.example", false),
            ("", false),
        ] {
            assert_eq!(
                Destination::parse(origin, false).is_ok(),
                expected,
                "{origin}"
            );
        }
        assert!(Destination::parse("http://b.example:8443", true).is_ok());
        assert!(Destination::parse("ftp://b.example", true).is_err());
    }

    #[test]
    fn only_the_same_scheme_host_and_port_is_the_destination() {
        let destinations = one("https://b.example");
        for (uri, expected) in [
            ("https://b.example/x?y", true),
            ("https://B.EXAMPLE/x", true),
            ("HTTPS://b.example:443/", true),
            ("http://b.example/", false),
            ("https://b.example:444/", false),
            ("https://b.example:/", false),
            ("https://b.example:99999/", false),
            ("https://a.b.example/", false),
            ("https://b.example.evil.example/", false),
            ("https://b.example@evil.example/", false),
            ("https://user@b.example/", false),
            ("https://b.example./", false),
            ("/x", false),
            ("*", false),
            ("b.example:443", false),
        ] {
            if let Ok(uri) = uri.parse::<Uri>() {
                assert_eq!(destinations.allow(&uri), expected, "{uri}");
            }
        }
    }

    #[test]
    fn a_request_without_authority_needs_to_be_vouched_for() {
        let mut destinations = one("https://a.example");
        assert!(!destinations.allow(&Uri::from_static("/x")));
        destinations.set_bare(Destination::parse("https://b.example", false).unwrap());
        assert!(destinations.allow(&Uri::from_static("/x")));
        assert!(destinations.allow(&Uri::from_static("https://b.example/x")));
        assert!(!destinations.allow(&Uri::from_static("https://c.example/x")));
        // An authority without a scheme (CONNECT) leads elsewhere.
        assert!(!destinations.allow(&Uri::from_static("c.example:443")));
    }

    proptest! {
        #[test]
        fn never_panics_and_never_allows_another_host(uri in "(https://)?[ -~]{0,40}") {
            if let Ok(uri) = uri.parse::<Uri>()
                && one("https://b.example").allow(&uri)
            {
                let host = uri.host().unwrap_or_default().to_ascii_lowercase();
                prop_assert_eq!(host, "b.example");
            }
        }
    }
}
