//! Which database, and how it is believed.

use std::sync::Arc;
use std::time::Duration;

use bartizan_source::postgres::{Database, DatabaseBuilder, SharedSession};
use rustls::ClientConfig;

use crate::error::ConfigError;
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
    database: DatabaseBuilder,
    deadline: Duration,
    max_rows: usize,
}

impl PostgresKeysBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            database: Database::builder(url).with_application_name("bartizan-apikey"),
            deadline: Duration::from_secs(10),
            max_rows: 1_000_000,
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
        let invalid = |problem: String| ConfigError::InvalidDatabase(problem);
        let database = self.database.with_connect_timeout(self.deadline).build();
        let database = database.map_err(|error| invalid(error.to_string()))?;
        if self.deadline.is_zero() {
            return Err(invalid("a deadline of zero".to_owned()));
        }
        Ok(PostgresKeys(Arc::new(Shared {
            session: SharedSession::new(database),
            deadline: self.deadline,
            max_rows: self.max_rows,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_database_is_said() {
        fn check(url: &str, expected: &str) {
            let refused = PostgresKeys::builder(url)
                .allow_plaintext_loopback()
                .build();
            let error = refused.err().map(|error| error.to_string());
            assert!(error.is_some_and(|it| it.ends_with(expected)), "{url}");
        }
        let no_roots = "no roots, and plaintext is not permitted there";
        check("postgresql://u:p@db.internal/d", no_roots);
        check("postgresql://u:p@h:x/d", "its URL cannot be read");
        let here = PostgresKeys::builder("postgresql://u:p@127.0.0.1/d");
        assert!(here.clone().build().is_err());
        assert!(here.allow_plaintext_loopback().build().is_ok());
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
