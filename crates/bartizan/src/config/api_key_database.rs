//! `[api_keys.postgres]`: API keys in a database.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_apikey::ApiKeyConfigBuilder;

use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::surroundings::Surroundings;

section! {
    /// API keys in a table of PostgreSQL, which all instances of a service share; build with the
    /// feature `apikey-postgres`. The database is told when each key was used last.
    ApiKeyDatabase {
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
        deadline: Duration = "10s",
        /// How many rows are read at most: a table with more is refused.
        max_rows: usize = "1000000",
    }
}

const PATH: &str = "api_keys.postgres";

#[cfg(not(feature = "apikey-postgres"))]
impl ApiKeyDatabase {
    pub(crate) fn source(
        &self,
        _: ApiKeyConfigBuilder,
        _: &Surroundings,
    ) -> Result<ApiKeyConfigBuilder, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "apikey-postgres"))
    }

    pub(crate) async fn prepare(&self, _: &Surroundings) -> Result<(), Problem> {
        Ok(())
    }
}

#[cfg(feature = "apikey-postgres")]
impl ApiKeyDatabase {
    /// Reads the keys from the database.
    pub(crate) fn source(
        &self,
        config: ApiKeyConfigBuilder,
        with: &Surroundings,
    ) -> Result<ApiKeyConfigBuilder, Problem> {
        Ok(config.with_source(self.store(with)?))
    }

    /// Makes the tables, if that is asked for.
    pub(crate) async fn prepare(&self, with: &Surroundings) -> Result<(), Problem> {
        if !self.create_tables {
            return Ok(());
        }
        let made = self.store(with)?.migrate().await;
        made.map_err(|error| self.refuse(PATH, &error))
    }

    pub(crate) fn store(
        &self,
        with: &Surroundings,
    ) -> Result<bartizan_apikey::PostgresKeys, Problem> {
        let url = self.url.text(self.stands.0, PATH)?;
        let mut store = bartizan_apikey::PostgresKeys::builder(url)
            .with_deadline(self.deadline)
            .with_max_rows(self.max_rows);
        if let Some(roots) = &self.roots {
            let pem = with.read(roots);
            let wrong = |message| Problem::new(self.stands.0, "api_keys.postgres.roots", message);
            store = store.with_root_pem(&pem.map_err(wrong)?);
        }
        if self.allow_plaintext_loopback {
            store = store.allow_plaintext_loopback();
        }
        store.build().map_err(|error| self.refuse(PATH, &error))
    }
}
