//! Which database, and how it is believed.

use std::sync::Arc;
use std::time::Duration;

use bartizan_source::postgres::{Database, DatabaseBuilder, DatabaseError, SharedSession};
use rustls::ClientConfig;
use tokio::sync::Mutex;

use crate::error::ProviderConfigError;
use crate::postgres::{PostgresKeys, Shared};

/// Describes a [`PostgresKeys`]; made by [`PostgresKeys::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | roots | none: refused | a database has a certificate of its own authority |
/// | plaintext | refused, whatever `sslmode` says | whoever can change rows on their way can take keys away |
/// | deadline | 5 s per call; sixty times as long for reading all keys | |
#[derive(Clone, Debug)]
#[must_use = "call build to get the store"]
pub struct PostgresKeysBuilder {
    database: DatabaseBuilder,
    deadline: Duration,
}

impl PostgresKeysBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            // An answer is durable before it is given.
            database: Database::builder(url).with_setup("set synchronous_commit = on"),
            deadline: Duration::from_secs(5),
        }
    }

    /// Believes servers below these certificates, in PEM, and no others.
    pub fn with_root_pem(mut self, pem: &[u8]) -> Self {
        self.database = self.database.with_root_pem(pem);
        self
    }

    /// Uses this TLS configuration as it is, say to present a client certificate.
    pub fn with_tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.database = self.database.with_tls_config(config);
        self
    }

    /// Permits plaintext to Unix sockets, `localhost`, `127.0.0.0/8` and `[::1]`.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.database = self.database.allow_plaintext_loopback();
        self
    }

    /// Replaces how long one call may take, connecting included.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`ProviderConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<PostgresKeys, ProviderConfigError> {
        let database = self.database.with_connect_timeout(self.deadline).build();
        let database = database.map_err(|error| match error {
            DatabaseError::NoRoots => ProviderConfigError::Missing("root_pem"),
            DatabaseError::Url => ProviderConfigError::Url("it cannot be read".to_owned()),
            other => ProviderConfigError::Unusable(other.to_string()),
        })?;
        if self.deadline.is_zero() {
            return Err(ProviderConfigError::Missing("deadline"));
        }
        Ok(PostgresKeys(Arc::new(Shared {
            session: SharedSession::new(database),
            deadline: self.deadline,
            listener: Mutex::new(None),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_database_is_said() {
        let refused = |url: &str| {
            PostgresKeys::builder(url)
                .allow_plaintext_loopback()
                .build()
        };
        let elsewhere = refused("postgresql://u:p@db.internal/d").err();
        assert!(matches!(
            elsewhere,
            Some(ProviderConfigError::Missing("root_pem"))
        ));
        let unreadable = refused("postgresql://db/d?connect_timeout=x").err();
        assert!(matches!(unreadable, Some(ProviderConfigError::Url(_))));
        let here = PostgresKeys::builder("postgresql://u:p@127.0.0.1/d");
        assert!(here.clone().build().is_err());
        let here = here.allow_plaintext_loopback();
        assert!(here.clone().build().is_ok());
        let hurried = here.clone().with_deadline(Duration::ZERO).build().err();
        assert!(matches!(
            hurried,
            Some(ProviderConfigError::Missing("deadline"))
        ));
        let roots = here.with_root_pem(b"hello").build().err();
        assert!(matches!(roots, Some(ProviderConfigError::Unusable(_))));
    }

    #[test]
    fn passwords_are_not_printed() {
        let builder = PostgresKeys::builder("postgresql://u:hunter2@127.0.0.1/d");
        let builder = builder.allow_plaintext_loopback();
        assert!(!format!("{builder:?}").contains("hunter2"));
        assert!(!format!("{:?}", builder.build().expect("sound")).contains("hunter2"));
        let error = PostgresKeys::builder("postgresql://u:hunter2@h:x/d").build();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
