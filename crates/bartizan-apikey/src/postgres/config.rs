//! Which database, and how it is believed.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Mutex;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::error::ConfigError;
use crate::postgres::tls::Tls;
use crate::postgres::{PostgresKeys, Shared};

/// Describes a [`PostgresKeys`]; made by [`PostgresKeys::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | roots | none: refused | a database has a certificate of its own authority |
/// | plaintext | refused, whatever `sslmode` says | whoever can change rows on their way can give himself any scope |
/// | deadline | 10 s per call, connecting included | reading some hundred thousand keys |
/// | most rows | 1,000,000 | what is read into memory before it is counted |
#[derive(Clone, Debug)]
#[must_use = "call build to get the store"]
pub struct PostgresKeysBuilder {
    url: Secret,
    trust: Option<Trust>,
    plaintext: bool,
    deadline: Duration,
    max_rows: usize,
}

/// With a password in it.
#[derive(Clone)]
struct Secret(String);

#[derive(Clone, Debug)]
enum Trust {
    Config(Arc<ClientConfig>),
    Pem(Vec<u8>),
}

impl PostgresKeysBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: Secret(url.to_owned()),
            trust: None,
            plaintext: false,
            deadline: Duration::from_secs(10),
            max_rows: 1_000_000,
        }
    }

    /// Believes servers below these certificates, in PEM, and no others.
    pub fn with_root_pem(mut self, pem: &[u8]) -> Self {
        self.trust = Some(Trust::Pem(pem.to_vec()));
        self
    }

    /// Uses this TLS configuration as it is, say to present a client certificate.
    pub fn with_tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.trust = Some(Trust::Config(config.into()));
        self
    }

    /// Permits plaintext to Unix sockets, `localhost`, `127.0.0.0/8` and `[::1]`.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Replaces how long one call may take, connecting included.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Replaces how many rows are read at most: a table with more is refused.
    pub fn with_max_rows(mut self, rows: usize) -> Self {
        self.max_rows = rows;
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidDatabase`], with what cannot work.
    pub fn build(self) -> Result<PostgresKeys, ConfigError> {
        let invalid = |problem: &str| ConfigError::InvalidDatabase(problem.to_owned());
        // The error may quote the URL, and with it a password.
        let config: Result<Config, _> = self.url.0.parse();
        let mut config = config.map_err(|_| invalid("its URL cannot be read"))?;
        if self.deadline.is_zero() {
            return Err(invalid("a deadline of zero"));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(self.deadline);
        }
        if config.get_application_name().is_none() {
            config.application_name("bartizan-apikey");
        }
        let local = !config.get_hosts().is_empty()
            && config.get_hosts().iter().all(is_local)
            && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        let tls = match self.trust {
            Some(trust) => {
                config.ssl_mode(SslMode::Require);
                Some(configured(trust)?)
            }
            None if local && self.plaintext => {
                config.ssl_mode(SslMode::Disable);
                None
            }
            None => return Err(invalid("no roots, and plaintext is not permitted there")),
        };
        Ok(PostgresKeys(Arc::new(Shared {
            config,
            tls: Tls(tls),
            deadline: self.deadline,
            max_rows: self.max_rows,
            session: Mutex::new(None),
        })))
    }
}

fn configured(trust: Trust) -> Result<Arc<ClientConfig>, ConfigError> {
    let pem = match trust {
        Trust::Config(config) => return Ok(config),
        Trust::Pem(pem) => pem,
    };
    let unusable = |error: String| ConfigError::InvalidDatabase(format!("roots: {error}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is none".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let address: Result<IpAddr, _> = name.parse();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_stays_on_this_machine() {
        fn check(url: &str, allowed: bool, expected: bool) {
            let builder = PostgresKeys::builder(url);
            let builder = match allowed {
                true => builder.allow_plaintext_loopback(),
                false => builder,
            };
            assert_eq!(builder.build().is_ok(), expected, "{url}");
        }
        check("postgresql://u:p@127.0.0.1/d", true, true);
        check("postgresql://u:p@localhost,[::1]/d", true, true);
        check("postgresql:///d?host=/run/postgresql", true, true);
        check("postgresql://u:p@127.0.0.1/d", false, false);
        check("postgresql://u:p@127.0.0.1/d?sslmode=disable", false, false);
        check("postgresql://u:p@db.internal/d", true, false);
        check("host=localhost hostaddr=10.0.0.1", true, false);
        check("postgresql://u:p@127.0.0.1,db.internal/d", true, false);
        check("user=u", true, false);
    }

    #[test]
    fn passwords_are_not_printed() {
        let builder = PostgresKeys::builder("postgresql://u:hunter2@127.0.0.1/d");
        let builder = builder.allow_plaintext_loopback();
        assert!(!format!("{builder:?}").contains("hunter2"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("hunter2"));
        let error = PostgresKeys::builder("postgresql://u:hunter2@h:x/d").build();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn roots_that_are_none_are_refused() {
        let builder = || PostgresKeys::builder("postgresql://db.internal/d");
        assert!(builder().with_root_pem(b"").build().is_err());
        assert!(builder().with_root_pem(b"hello").build().is_err());
        let hurried = builder()
            .allow_plaintext_loopback()
            .with_deadline(Duration::ZERO);
        assert!(hurried.build().is_err());
    }
}
