//! What can go wrong in the test kit.

/// Why the test kit could not make what was asked for.
///
/// There is one error for the whole crate: a test or a demo reports it and stops, nothing reacts
/// to a single variant. Messages never contain key material or tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestkitError {
    /// The certificate library refused the parameters of a certificate, a key or a CRL.
    #[error("certificate was not made")]
    Certificate(#[from] rcgen::Error),
    /// A gRPC client or server of the harness failed.
    #[error("gRPC transport failed")]
    Grpc(#[from] tonic::transport::Error),
    /// An HTTP message could not be put together.
    #[error("HTTP message was not made")]
    Http(#[from] http::Error),
    /// An HTTP connection failed below the level of HTTP answers.
    #[error("HTTP connection failed")]
    HttpConnection(#[from] hyper::Error),
    /// A file or a socket of the operating system failed.
    #[error("{action} failed")]
    Io {
        /// What was being done, such as `write /tmp/pki/ca.pem`.
        action: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The key cannot be used as asked: wrong kind for an algorithm, or refused by ring.
    #[error("key does not fit: {reason}")]
    Key {
        /// What does not fit.
        reason: String,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes")]
    Random,
    /// A server of others was not started.
    #[error("server was not started: {reason}")]
    Server {
        /// What it lacks or said.
        reason: String,
    },
    /// A time is outside the years that a certificate can express.
    #[error("time {unix_seconds} is outside the years that a certificate can express")]
    Time {
        /// The time asked for, in seconds since the Unix epoch.
        unix_seconds: u64,
    },
    /// A TLS configuration could not be built.
    #[error("TLS configuration was not made")]
    Tls(#[from] rustls::Error),
    /// A text handed to token surgery is not of the expected shape.
    #[error("not a compact token: {reason}")]
    Token {
        /// What is missing.
        reason: &'static str,
    },
}

impl TestkitError {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    pub(crate) fn key(reason: impl Into<String>) -> Self {
        Self::Key {
            reason: reason.into(),
        }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn server(reason: impl Into<String>) -> Self {
        Self::Server {
            reason: reason.into(),
        }
    }
}

impl From<ring::error::Unspecified> for TestkitError {
    // Everything that ring reports without a reason here comes from its random source: keys are
    // checked when they are loaded, and that reports `KeyRejected`.
    fn from(_: ring::error::Unspecified) -> Self {
        Self::Random
    }
}

impl From<ring::error::KeyRejected> for TestkitError {
    fn from(rejected: ring::error::KeyRejected) -> Self {
        Self::key(rejected.to_string())
    }
}
