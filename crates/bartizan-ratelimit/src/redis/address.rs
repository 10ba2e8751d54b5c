//! Where a server is.

use std::fmt;

use crate::error::ConfigError;

/// Where a server is.
#[derive(Clone, Eq, Hash, PartialEq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads `host:port`; IPv6 stands in brackets.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let refused = || ConfigError::Store(format!("{text:?} is not host:port"));
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let inner = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = match inner {
            Some(inner) if inner.contains(':') => inner,
            None if !host.contains([':', '[', ']', '/', '@']) => host,
            _ => return Err(refused()),
        };
        match host.is_empty() || port == 0 {
            true => Err(refused()),
            false => Ok(Self::new(host, port)),
        }
    }

    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u16)>) {
        let found = Address::parse(text).ok();
        let expected = expected.map(|(host, port)| Address::new(host, port));
        assert_eq!(found, expected, "{text}");
        if let Some(found) = found {
            assert_eq!(found.to_string(), text);
        }
    }

    #[test]
    fn addresses_are_a_host_and_a_port() {
        check("redis.internal:6379", Some(("redis.internal", 6379)));
        check("127.0.0.1:1", Some(("127.0.0.1", 1)));
        check("[::1]:6379", Some(("::1", 6379)));
        for refused in [
            "",
            ":1",
            "a",
            "a:",
            "a:0",
            "a:65536",
            "::1:6379",
            "[a]:1",
            "redis://a:1",
            "u@a:1",
        ] {
            check(refused, None);
        }
    }
}
