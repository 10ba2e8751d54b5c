//! What cannot be attacked with what was given.

use std::net::SocketAddr;

/// Why something that was given for an attack cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GivenError {
    /// No certificate, or no key, in what should be PEM of one.
    #[error("no {0} in the PEM text")]
    Pem(&'static str),
    /// A private key that cannot be used.
    #[error("the private key is not PKCS#8 of a kind that {0} takes")]
    Key(String),
    /// A certificate that cannot be read.
    #[error("the certificate cannot be read")]
    Certificate,
    /// Not `http://host:port` or `https://host:port`, with a path perhaps.
    #[error("not an http or https URL: {0}")]
    Url(String),
    /// A host that no address was found for.
    #[error("cannot find {host}")]
    Unknown {
        /// The host.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// A host elsewhere, which was not named for attack.
    #[error("{host} is {address}, which is not this machine: name it as the host to be attacked")]
    Elsewhere {
        /// The host.
        host: String,
        /// The first of its addresses that is not loopback.
        address: SocketAddr,
    },
    /// Another host was named for attack than the URL has.
    #[error("{named} was named for attack, and the URL says {host}")]
    AnotherHost {
        /// The host of the URL.
        host: String,
        /// The one that was named.
        named: String,
    },
    /// A host elsewhere over TLS whose authorities were not given.
    #[error("{0} is not this machine: give the authorities that its certificate comes from")]
    NoRoots(String),
    /// TLS cannot be set up with what was given.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The system has no random bytes.
    #[error("the system has no random bytes")]
    Random,
}

impl GivenError {
    /// What ring says, which has no other reason to fail where it makes keys.
    pub(crate) fn random(_: ring::error::Unspecified) -> Self {
        Self::Random
    }
}
