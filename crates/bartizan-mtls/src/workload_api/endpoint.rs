//! Where a Workload API is served.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A socket that a Workload API is served on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Why there is no Workload API to talk to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// `SPIFFE_ENDPOINT_SOCKET` is not set, or is no text.
    #[error("SPIFFE_ENDPOINT_SOCKET is not set")]
    Absent,
    /// It was started outside a tokio runtime.
    #[error("the workload api needs a tokio runtime")]
    NoRuntime,
    /// A `unix` endpoint is not `unix:///` and an absolute path.
    #[error("endpoint is not unix:/// and an absolute path: {0}")]
    Path(Box<str>),
    /// The scheme is neither `unix` nor `tcp`.
    #[error("endpoint is neither unix:// nor tcp://: {0}")]
    Scheme(Box<str>),
    /// A `tcp` endpoint is not an IP address and a port.
    #[error("endpoint is not tcp:// and ip:port: {0}")]
    SocketAddress(Box<str>),
}

impl Endpoint {
    //= SPIFFE Workload Endpoint §4: the scheme MUST be unix or tcp; for unix the authority is
    //= empty and the path absolute, for tcp the host is an IP address, the port is set, and there
    //= is nothing else.
    pub(super) fn parse(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix://").or(text.strip_prefix("unix:")) {
            let plain = path.starts_with('/') && !path.contains(['?', '#', '\0']);
            if !plain || path.len() == 1 {
                return Err(EndpointError::Path(text.into()));
            }
            return Ok(Self::Unix(Path::new(path).to_owned()));
        }
        let Some(address) = text.strip_prefix("tcp://") else {
            return Err(EndpointError::Scheme(text.into()));
        };
        match address.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(Self::Tcp(address)),
            _ => Err(EndpointError::SocketAddress(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<Endpoint, EndpointError>) {
        assert_eq!(Endpoint::parse(text), expected, "{text}");
    }

    #[test]
    fn takes_absolute_paths_and_ip_addresses_with_ports() {
        let unix = |path: &str| Ok(Endpoint::Unix(path.into()));
        check(
            "unix:///run/spire/agent.sock",
            unix("/run/spire/agent.sock"),
        );
        check("unix:/run/spire/agent.sock", unix("/run/spire/agent.sock"));
        let tcp = |address: &str| Ok(Endpoint::Tcp(address.parse().unwrap()));
        check("tcp://127.0.0.1:8000", tcp("127.0.0.1:8000"));
        check("tcp://[::1]:8000", tcp("[::1]:8000"));
    }

    #[test]
    fn refuses_every_other_component() {
        for text in [
            "unix://",
            "unix:",
            "unix:///",
            "unix://run/agent.sock",
            "unix:run/agent.sock",
            "unix://host/run/agent.sock",
            "unix:///run/a?x=1",
            "unix:///run/a#x",
            "unix:///run/\0",
        ] {
            check(text, Err(EndpointError::Path(text.into())));
        }
        for text in [
            "tcp://",
            "tcp://127.0.0.1",
            "tcp://127.0.0.1:0",
            "tcp://localhost:8000",
            "tcp://127.0.0.1:8000/",
            "tcp://127.0.0.1:8000?a",
            "tcp://u@127.0.0.1:8000",
            "tcp://::1:80000",
        ] {
            check(text, Err(EndpointError::SocketAddress(text.into())));
        }
        for text in [
            "",
            "/run/agent.sock",
            "http://127.0.0.1:80",
            "UNIX:///run/a",
            "tcp:1.2.3.4:5",
        ] {
            check(text, Err(EndpointError::Scheme(text.into())));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = Endpoint::parse(&text);
        }
    }
}
