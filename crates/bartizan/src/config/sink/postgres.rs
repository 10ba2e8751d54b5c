//! `[audit.sink.postgres]`: a table of PostgreSQL.

use std::path::PathBuf;

use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::sink::{Kind, Terms};

section! {
    /// A table of PostgreSQL, with each entry once; build with the feature `audit-postgres`.
    PostgresEntry {
        /// The database, as libpq has it: `postgresql://user:password@host/database`.
        url: Secret,
        /// The certificate authorities (PEM) of the server, and no others. Required, but for
        /// `allow_plaintext_loopback`.
        roots: Option<PathBuf>,
        /// The certificate chain (PEM) that is presented, leaf first.
        chain: Option<PathBuf>,
        /// Its private key (PEM).
        key: Option<PathBuf>,
        /// Lets the connection be in plaintext, to this machine alone.
        allow_plaintext_loopback: bool = "false",
        /// Makes the table if there is none.
        create_tables: bool = "false",
    }
}

const PATH: &str = "audit.sink.postgres";

#[cfg(not(feature = "audit-postgres"))]
impl PostgresEntry {
    pub(super) fn kind(&self, _: &Terms<'_>) -> Result<Kind<'_>, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "audit-postgres"))
    }
}

#[cfg(feature = "audit-postgres")]
impl PostgresEntry {
    pub(super) fn kind(&self, terms: &Terms<'_>) -> Result<Kind<'_>, Problem> {
        let sink = self.builder(terms)?.build();
        sink.map(Kind::Postgres)
            .map_err(|error| self.refuse(PATH, &error))
    }

    fn builder(&self, terms: &Terms<'_>) -> Result<bartizan_audit::PostgresSinkBuilder, Problem> {
        let url = self.url.text(self.stands.0, PATH)?;
        let mut sink = bartizan_audit::PostgresSink::builder(url).with_format(terms.format);
        sink = crate::config::sink::certified!(sink, self, PATH, terms.with);
        if self.allow_plaintext_loopback {
            sink = sink.allow_plaintext_loopback();
        }
        if self.create_tables {
            sink = sink.create_table();
        }
        Ok(match terms.service {
            Some(service) => sink.with_service(service),
            None => sink,
        })
    }
}
