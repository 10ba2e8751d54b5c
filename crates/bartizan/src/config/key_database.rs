//! `[encryption.postgres]`: data keys in a database.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::surroundings::Surroundings;

section! {
    /// Data keys, wrapped, in a table of PostgreSQL that all instances of a service share; build
    /// with the feature `postgres`.
    KeyDatabase {
        /// The database, as libpq has it: `postgresql://user:password@host/database`.
        url: Secret,
        /// The certificate authorities (PEM) of the server, and no others. Required, but for
        /// `allow_plaintext_loopback`.
        roots: Option<PathBuf>,
        /// Lets the connection be in plaintext, to this machine alone.
        allow_plaintext_loopback: bool = "false",
        /// Makes the tables when the service begins, if there are none.
        create_tables: bool = "false",
        /// How long one call may take, connecting included.
        deadline: Duration = "5s",
    }
}

const PATH: &str = "encryption.postgres";

/// Data keys in a database; none can be had without the feature.
#[cfg(not(feature = "postgres"))]
pub(crate) use bartizan_encrypt::KeyFile as KeyTable;
#[cfg(feature = "postgres")]
pub(crate) use bartizan_encrypt::PostgresKeys as KeyTable;

#[cfg(not(feature = "postgres"))]
impl KeyDatabase {
    pub(crate) fn store(&self, _: &Surroundings) -> Result<KeyTable, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "postgres"))
    }

    pub(crate) async fn prepare(&self, _: &Surroundings) -> Result<(), Problem> {
        Ok(())
    }
}

#[cfg(feature = "postgres")]
impl KeyDatabase {
    pub(crate) fn store(&self, with: &Surroundings) -> Result<KeyTable, Problem> {
        let url = self.url.text(self.stands.0, PATH)?;
        let mut store = KeyTable::builder(url).with_deadline(self.deadline);
        if let Some(roots) = &self.roots {
            let pem = with.read(roots);
            let wrong = |message| Problem::new(self.stands.0, "encryption.postgres.roots", message);
            store = store.with_root_pem(&pem.map_err(wrong)?);
        }
        if self.allow_plaintext_loopback {
            store = store.allow_plaintext_loopback();
        }
        store.build().map_err(|error| self.refuse(PATH, &error))
    }

    /// Makes the tables, if that is asked for.
    pub(crate) async fn prepare(&self, with: &Surroundings) -> Result<(), Problem> {
        if !self.create_tables {
            return Ok(());
        }
        let made = self.store(with)?.migrate().await;
        made.map_err(|error| self.refuse(PATH, &error))
    }
}
