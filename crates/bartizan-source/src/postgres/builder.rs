//! Which database, and how it is believed.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use zeroize::Zeroizing;

use crate::postgres::database::Database;
use crate::postgres::tls::Tls;

/// Describes a [`Database`]; made by [`Database::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | roots | none: refused | a database has a certificate of its own authority |
/// | plaintext | refused, whatever `sslmode` says | what can be changed on its way is believed by nobody |
/// | application name | `bartizan` | whose connection it is, for who looks at the server |
/// | connecting | without a limit of its own | stores limit each call |
#[derive(Clone)]
#[must_use = "call build to get the database"]
pub struct DatabaseBuilder {
    url: Zeroizing<String>,
    trust: Option<Trust>,
    plaintext: bool,
    application_name: String,
    connect_timeout: Option<Duration>,
    setup: Option<&'static str>,
}

#[derive(Clone)]
enum Trust {
    Config(Arc<ClientConfig>),
    Pem(Vec<u8>),
}

impl DatabaseBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: Zeroizing::new(url.to_owned()),
            trust: None,
            plaintext: false,
            application_name: "bartizan".to_owned(),
            connect_timeout: None,
            setup: None,
        }
    }

    /// Believes servers below these certificates, in PEM, and no others.
    pub fn with_root_pem(mut self, pem: &[u8]) -> Self {
        self.trust = Some(Trust::Pem(pem.to_vec()));
        self
    }

    /// Uses this TLS configuration as it is, say to present a client certificate; replaces roots.
    pub fn with_tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.trust = Some(Trust::Config(config.into()));
        self
    }

    /// Permits plaintext to Unix sockets, `localhost`, `127.0.0.0/8` and `[::1]`.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Replaces the name that connections have, unless the URL says another.
    pub fn with_application_name(mut self, name: &str) -> Self {
        self.application_name = name.to_owned();
        self
    }

    /// Sets how long connecting may take, unless the URL says otherwise.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets what each connection says first, before it is used.
    pub fn with_setup(mut self, statement: &'static str) -> Self {
        self.setup = Some(statement);
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<Database, DatabaseError> {
        // The error may quote the URL, and with it a password.
        let config: Result<Config, _> = self.url.parse();
        let mut config = config.map_err(|_| DatabaseError::Url)?;
        if let Some(timeout) = self.connect_timeout
            && config.get_connect_timeout().is_none()
        {
            config.connect_timeout(timeout);
        }
        if config.get_application_name().is_none() {
            config.application_name(&self.application_name);
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
            None => return Err(DatabaseError::NoRoots),
        };
        Ok(Database::new(config, Tls(tls), self.setup))
    }
}

fn configured(trust: Trust) -> Result<Arc<ClientConfig>, DatabaseError> {
    let pem = match trust {
        Trust::Config(config) => return Ok(config),
        Trust::Pem(pem) => pem,
    };
    let unusable = |error: &dyn fmt::Display| DatabaseError::Roots(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"there is none"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
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

impl fmt::Debug for DatabaseBuilder {
    /// Without the URL, which may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseBuilder")
            .field("trusts_somebody", &self.trust.is_some())
            .field("plaintext", &self.plaintext)
            .field("application_name", &self.application_name)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// Why no connection could be made to a database that is described like this.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DatabaseError {
    /// There are no roots to believe the server by, and plaintext is not permitted there.
    NoRoots,
    /// The roots cannot be used, for this reason.
    Roots(String),
    /// The URL cannot be read. It is not repeated: there may be a password in it.
    Url,
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoots => f.write_str("no roots, and plaintext is not permitted there"),
            Self::Roots(reason) => write!(f, "roots: {reason}"),
            Self::Url => f.write_str("its URL cannot be read"),
        }
    }
}

impl Error for DatabaseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_stays_on_this_machine() {
        fn check(url: &str, allowed: bool, expected: Option<DatabaseError>) {
            let builder = Database::builder(url);
            let builder = match allowed {
                true => builder.allow_plaintext_loopback(),
                false => builder,
            };
            assert_eq!(builder.build().err(), expected, "{url}");
        }
        let refused = || Some(DatabaseError::NoRoots);
        check("postgresql://u:p@127.0.0.1/d", true, None);
        check("postgresql://u:p@localhost,[::1]/d", true, None);
        check("postgresql:///d?host=/run/postgresql", true, None);
        check("host=localhost hostaddr=127.0.0.1", true, None);
        check("postgresql://u:p@127.0.0.1/d", false, refused());
        check(
            "postgresql://u:p@127.0.0.1/d?sslmode=disable",
            false,
            refused(),
        );
        check("postgresql://u:p@db.internal/d", true, refused());
        check("host=localhost hostaddr=10.0.0.1", true, refused());
        check("postgresql://u:p@127.0.0.1,db.internal/d", true, refused());
        check("user=u", true, refused());
        check(
            "postgresql://db/d?connect_timeout=x",
            true,
            Some(DatabaseError::Url),
        );
    }

    #[test]
    fn passwords_are_not_printed() {
        let builder = Database::builder("postgresql://u:hunter2@127.0.0.1/d");
        let builder = builder.allow_plaintext_loopback();
        assert!(!format!("{builder:?}").contains("hunter2"));
        assert!(!format!("{:?}", builder.build().expect("sound")).contains("hunter2"));
        let error = Database::builder("postgresql://u:hunter2@h:x/d").build();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_work_is_named_and_the_url_is_not() {
        fn check(builder: DatabaseBuilder, expected: &str) {
            let refused = builder.build().expect_err("refused").to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
        let to = |url| Database::builder(url);
        let there = || to("postgresql://u:hunter2@db.internal/d");
        check(there(), "no roots, and plaintext is not permitted there");
        check(to("postgresql://u:hunter2@h:x/d"), "its URL cannot be read");
        check(there().with_root_pem(b""), "roots: there is none");
        check(there().with_root_pem(b"hello"), "roots: there is none");
        let torn = b"-----BEGIN CERTIFICATE-----\n?";
        check(there().with_root_pem(torn), "roots: ");
        let other = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(there().with_root_pem(other), "roots: ");
    }
}
