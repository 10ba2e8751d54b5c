//! Where a server listens.

#[cfg(feature = "nats")]
use std::net::IpAddr;
use std::net::Ipv6Addr;

/// A host and a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads `host:port`, of which the host may be an IPv6 address in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_host = match inner {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(is_fit),
        };
        let port = port.parse().ok().filter(|port| *port != 0)?;
        is_host.then(|| Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Whether it is on this machine, as far as the name says.
    #[cfg(feature = "nats")]
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        fn check(text: &str, expected: Option<(&str, u16)>) {
            let found = Address::parse(text).map(|it| (it.host, it.port));
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(found, expected, "{text}");
        }
        check("logs.internal:6514", Some(("logs.internal", 6514)));
        check("127.0.0.1:1", Some(("127.0.0.1", 1)));
        check("[::1]:65535", Some(("::1", 65535)));
        for nonsense in [
            "", "a", "a:", "a:0", "a:65536", ":1", "::1:4222", "[a]:1", "a b:1",
        ] {
            check(nonsense, None);
        }
    }
}
