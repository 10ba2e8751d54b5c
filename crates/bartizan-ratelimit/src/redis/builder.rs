//! How a store is described.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_source::SecretBytes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::cluster::Cluster;
use super::dial::{Credentials, Dialer};
use super::link::{Link, Target};
use super::secret::FleetSecret;
use super::sentinel::Sentinels;
use super::{Inner, RedisStore};
use crate::error::ConfigError;

/// Describes a [`RedisStore`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | credentials | none | servers differ |
/// | TLS | none | needs the authority that the server is believed by |
/// | namespace | `bartizan` | tells limits apart from what else the server holds |
/// | database | 0 | clusters have no other |
/// | connect deadline | 1 s | no request waits for it |
#[must_use = "call build to get the store"]
pub struct RedisStoreBuilder {
    addresses: Vec<String>,
    kind: Kind,
    secret: FleetSecret,
    namespace: String,
    credentials: Option<Arc<Credentials>>,
    sentinel_credentials: Option<Arc<Credentials>>,
    tls: Tls,
    database: u16,
    deadline: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Cluster,
    One,
    Sentinel(String),
}

/// Where commands go.
#[derive(Debug)]
pub(super) enum Route {
    Cluster(Cluster),
    One(Link),
}

#[derive(Clone)]
enum Tls {
    Config(Arc<ClientConfig>),
    None,
    Roots(Vec<u8>),
}

impl RedisStoreBuilder {
    pub(super) fn new(addresses: Vec<String>, kind: Kind, secret: FleetSecret) -> Self {
        Self {
            addresses,
            kind,
            secret,
            namespace: "bartizan".to_owned(),
            credentials: None,
            sentinel_credentials: None,
            tls: Tls::None,
            database: 0,
            deadline: Duration::from_secs(1),
        }
    }

    /// Logs in as this user.
    pub fn with_credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.credentials = Some(credentials(Some(user.into()), password.into()));
        self
    }

    /// Logs in with the server's one password.
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.credentials = Some(credentials(None, password.into()));
        self
    }

    /// Logs in with sentinels as this user; they have users of their own.
    pub fn with_sentinel_credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.sentinel_credentials = Some(credentials(Some(user.into()), password.into()));
        self
    }

    /// Speaks TLS, and believes servers that these authorities (PEM) vouch for, and nobody else.
    /// Certificates have to name the host, or the address, that is connected to: in a cluster,
    /// those that its nodes announce.
    pub fn with_tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls = Tls::Roots(pem.into());
        self
    }

    /// Speaks TLS as this configuration has it, such as with a certificate of the client.
    pub fn with_tls_config(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Tls::Config(config);
        self
    }

    /// Sets what the server's keys begin with: 1 to 64 letters, digits, `-`, `_`, `.` or `:`.
    /// Fleets in different namespaces do not share what they count.
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the number of the database.
    pub fn with_database(mut self, database: u16) -> Self {
        self.database = database;
        self
    }

    /// Sets how long it may take to connect, from 10 ms to 60 s. No request waits for it beyond
    /// its own deadline.
    pub fn with_connect_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Checks everything. Connects when the store is used for the first time.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Store`] if an address, the namespace, a deadline or an authority cannot be
    /// used, or if there is no address.
    pub fn build(self) -> Result<RedisStore, ConfigError> {
        let refused = |problem: String| Err(ConfigError::Store(problem));
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.:".contains(&it);
        if !(1..=64).contains(&self.namespace.len()) || !self.namespace.bytes().all(is_plain) {
            return refused(format!("namespace {:?} cannot begin keys", self.namespace));
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.deadline) {
            return refused(format!(
                "connect deadline {:?} is not within 10 ms and 60 s",
                self.deadline
            ));
        }
        if self.kind == Kind::Cluster && self.database != 0 {
            return refused("clusters have no databases beside 0".to_owned());
        }
        let addresses = self.addresses.iter().map(|it| Address::parse(it));
        let mut addresses = addresses.collect::<Result<Vec<_>, _>>()?;
        let tls = self.tls.connector()?;
        let dialer = Dialer {
            tls: tls.clone(),
            credentials: self.credentials,
            database: self.database.into(),
            deadline: self.deadline,
        };
        let Some(first) = addresses.first() else {
            return refused("no address".to_owned());
        };
        let route = match self.kind {
            Kind::One => Route::One(Link::new(Target::Server(first.clone()), dialer)),
            Kind::Cluster => {
                addresses.truncate(100);
                Route::Cluster(Cluster::new(addresses, dialer))
            }
            Kind::Sentinel(name) => {
                let sentinels = Sentinels {
                    name,
                    addresses,
                    dialer: Dialer {
                        credentials: self.sentinel_credentials,
                        database: 0,
                        ..dialer.clone()
                    },
                };
                Route::One(Link::new(Target::Primary(sentinels), dialer))
            }
        };
        Ok(RedisStore(Arc::new(Inner {
            secret: self.secret,
            namespace: self.namespace,
            route,
        })))
    }
}

fn credentials(user: Option<String>, password: String) -> Arc<Credentials> {
    let password = SecretBytes::new(password.into_bytes());
    Arc::new(Credentials { user, password })
}

impl Tls {
    fn connector(&self) -> Result<Option<TlsConnector>, ConfigError> {
        let pem = match self {
            Self::None => return Ok(None),
            Self::Config(config) => return Ok(Some(Arc::clone(config).into())),
            Self::Roots(pem) => pem,
        };
        let refused = |problem: &dyn fmt::Display| ConfigError::Store(format!("roots: {problem}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| refused(&error))?;
            roots.add(certificate).map_err(|error| refused(&error))?;
        }
        if roots.is_empty() {
            return Err(refused(&"no certificate"));
        }
        // The provider is named, since nothing of the process is relied on.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(Arc::new(config).into()))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("addresses", &self.addresses)
            .field("kind", &self.kind)
            .field("namespace", &self.namespace)
            .field("database", &self.database)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
