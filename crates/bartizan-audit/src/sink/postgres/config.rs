//! Which database, and how it is believed.

use std::fmt;
use std::sync::Arc;

use bartizan_source::postgres::{Database, DatabaseBuilder, DatabaseError};
use rustls::ClientConfig;

use crate::render::Format;
use crate::sink::error::SinkConfigError;
use crate::sink::postgres::PostgresSink;
use crate::sink::tls::TlsSettings;

/// Describes a [`PostgresSink`]; made by [`PostgresSink::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | roots | none: refused | a database has a certificate of its own authority |
/// | plaintext | refused, whatever `sslmode` says | who reads along reads the log |
/// | format | JSON | nothing is left out |
/// | table | has to be there | the role that writes the log should not be able to make tables |
#[derive(Clone)]
#[must_use = "call build to get the sink"]
pub struct PostgresSinkBuilder {
    database: DatabaseBuilder,
    tls: TlsSettings,
    create_table: bool,
    format: Format,
    service: Option<String>,
}

impl PostgresSinkBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            database: Database::builder(url).with_application_name("bartizan-audit"),
            tls: TlsSettings::default(),
            create_table: false,
            format: Format::Json,
            service: None,
        }
    }

    /// Believes servers below these certificates, in PEM, and no others.
    pub fn with_root_pem(mut self, pem: &[u8]) -> Self {
        self.tls.set_roots(pem);
        self
    }

    /// Presents this certificate chain, with its private key, both in PEM.
    pub fn with_identity_pem(mut self, chain: &[u8], key: &[u8]) -> Self {
        self.tls.set_identity(chain, key);
        self
    }

    /// Uses this TLS configuration as it is, say because its certificates rotate; replaces roots
    /// and identity.
    pub fn with_tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.tls.set_config(config.into());
        self
    }

    /// Permits plaintext to Unix sockets, `localhost`, `127.0.0.0/8` and `[::1]`.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.database = self.database.allow_plaintext_loopback();
        self
    }

    /// Makes the table with the first connection, if there is none.
    pub fn create_table(mut self) -> Self {
        self.create_table = true;
        self
    }

    /// Replaces the form of the column `document`: JSON, OCSF or ECS.
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Replaces the name of the service in documents; by default the log's origin.
    pub fn with_service(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self
    }

    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`SinkConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<PostgresSink, SinkConfigError> {
        if self.format == Format::Cef {
            return Err(SinkConfigError::unusable("format", "cef is no json"));
        }
        let database = match self.tls.build()? {
            Some(tls) => self.database.with_tls_config(tls),
            None => self.database,
        };
        let database = database.build().map_err(|error| match error {
            DatabaseError::NoRoots => SinkConfigError::Missing("root_pem"),
            DatabaseError::Url => SinkConfigError::unusable("url", "it cannot be read"),
            other => SinkConfigError::unusable("root_pem", other),
        })?;
        Ok(PostgresSink {
            database,
            create_table: self.create_table,
            format: self.format,
            service: self.service,
            session: None,
        })
    }
}

impl fmt::Debug for PostgresSinkBuilder {
    /// Without the URL, which may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSinkBuilder")
            .field("tls", &self.tls)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_database_is_said() {
        let refused = |url: &str| {
            PostgresSink::builder(url)
                .allow_plaintext_loopback()
                .build()
        };
        let elsewhere = refused("postgresql://u:p@db.internal/d").err();
        assert!(matches!(
            elsewhere,
            Some(SinkConfigError::Missing("root_pem"))
        ));
        let unreadable = refused("postgresql://u:p@h:x/d").err();
        let setting = |error| match error {
            SinkConfigError::Unusable { setting, .. } => Some(setting),
            _ => None,
        };
        assert_eq!(unreadable.and_then(setting), Some("url"));
        let here = PostgresSink::builder("postgresql://u:p@127.0.0.1/d");
        assert!(here.clone().build().is_err());
        assert!(here.allow_plaintext_loopback().build().is_ok());
    }

    #[test]
    fn passwords_are_not_printed() {
        let builder = PostgresSink::builder("postgresql://u:hunter2@127.0.0.1/d");
        let builder = builder.allow_plaintext_loopback();
        assert!(!format!("{builder:?}").contains("hunter2"));
        assert!(!format!("{:?}", builder.build().expect("sound")).contains("hunter2"));
        let error = PostgresSink::builder("postgresql://u:hunter2@h:x/d").build();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn a_document_is_json() {
        let builder =
            PostgresSink::builder("postgresql://u@localhost/d").allow_plaintext_loopback();
        assert!(builder.clone().with_format(Format::Ocsf).build().is_ok());
        assert!(builder.with_format(Format::Cef).build().is_err());
    }
}
