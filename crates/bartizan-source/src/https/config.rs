//! The limits of a fetch, and whom it believes.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::ring;
use tokio_rustls::TlsConnector;

use crate::error::ConfigError;
use crate::https::fetcher::{HttpsFetcher, Settings};
use crate::https::roots::Roots;

/// Describes an [`HttpsFetcher`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | deadline | 5 s | longer than any healthy issuer takes, shorter than a client's patience |
/// | connect timeout | 2 s | a packet lost twice still gets through |
/// | body limit | 512 KiB | a key set of a hundred RSA keys with their certificates |
/// | head limit | 32 KiB, 64 headers | several times what any issuer sends; fixed |
/// | roots | public web | |
/// | plaintext | refused | |
#[derive(Clone, Debug)]
#[must_use = "a description does nothing until it is built"]
pub struct HttpsFetcherBuilder {
    deadline: Duration,
    connect_timeout: Duration,
    body_limit: usize,
    trust: Trust,
    plaintext_loopback: bool,
}

#[derive(Clone, Debug)]
enum Trust {
    Roots(Roots),
    Config(Arc<ClientConfig>),
}

impl HttpsFetcherBuilder {
    pub(super) fn new() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            body_limit: 512 * 1024,
            trust: Trust::Roots(Roots::public_web()),
            plaintext_loopback: false,
        }
    }

    /// How long one fetch may take in all, from the name lookup to the last byte.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long name lookup, TCP and TLS may take together, within the deadline.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How many bytes a body may have.
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Believes these roots, and no others; replaces the default and an earlier
    /// [`with_tls_config`](Self::with_tls_config).
    pub fn with_roots(mut self, roots: Roots) -> Self {
        self.trust = Trust::Roots(roots);
        self
    }

    /// Uses this TLS configuration as it is, say to present a client certificate; replaces the
    /// roots. Only its ALPN is changed, to `http/1.1`, which is what this client speaks.
    pub fn with_tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.trust = Trust::Config(config.into());
        self
    }

    /// Permits `http://` to `localhost`, `127.0.0.0/8` and `[::1]`, for development.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.plaintext_loopback = true;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// If a limit is zero.
    pub fn build(self) -> Result<HttpsFetcher, ConfigError> {
        ConfigError::require_positive("deadline", self.deadline)?;
        ConfigError::require_positive("connect timeout", self.connect_timeout)?;
        if self.body_limit == 0 {
            return Err(ConfigError::ZeroLimit {
                setting: "body_limit",
            });
        }
        let mut tls = match self.trust {
            Trust::Config(config) => Arc::unwrap_or_clone(config),
            Trust::Roots(roots) => {
                ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .map_err(|error| ConfigError::Certificate(error.to_string()))?
                    .with_root_certificates(roots.0)
                    .with_no_client_auth()
            }
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(HttpsFetcher::new(Settings {
            deadline: self.deadline,
            connect_timeout: self.connect_timeout,
            body_limit: self.body_limit,
            tls: TlsConnector::from(Arc::new(tls)),
            plaintext_loopback: self.plaintext_loopback,
        }))
    }
}
