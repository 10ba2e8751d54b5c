//! Key records as rows of PostgreSQL, which all instances of a service share.

mod config;
mod rows;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::WallTime;
use bartizan_source::postgres::{SharedSession, describe};
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::format::KeyId;
use crate::postgres::rows::{COLUMNS, INSERT, REPLACE, Values, seconds};
use crate::record::{KeyRecord, Rotation};
use crate::source::{KeyAnswer, KeyRead, KeySource, KeySourceError, KeyUse};

pub use self::config::PostgresKeysBuilder;

/// Keys in a table of PostgreSQL.
///
/// 1. The table is [`SCHEMA`](Self::SCHEMA); [`migrate`](Self::migrate) makes it (PostgreSQL 14 or
///    later). A service needs `select` on both tables and `update (last_used)` on the keys; who
///    makes keys, `insert` and `update` on the keys, and `update` on the revision.
/// 2. A trigger counts changes, also those that are made by hand. A service asks for the number
///    every few seconds, and reads the keys when it is another.
/// 3. A row that is no record, of a table that somebody made without the checks, is left out and
///    told (`apikey.key_ignored`); the others go on.
/// 4. When keys were last used is written in one statement a minute, for the keys that were.
/// 5. One connection, made when needed and again after it broke.
///
/// Whoever can write to the table can give its keys other scopes and ends; without a
/// [`Pepper`](crate::Pepper) he can make keys as well.
///
/// ```no_run
/// use bartizan_apikey::{ApiKeyConfig, ApiKeyLayer, PostgresKeys};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresKeys::builder("postgresql://orders@db.internal/orders")
///     .with_root_pem(&std::fs::read("/etc/pki/db.pem")?)
///     .build()?;
/// let config = ApiKeyConfig::builder("orders-keys").with_source(store);
/// let layer = ApiKeyLayer::load(config.build()?).await?;
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone.
#[derive(Clone)]
pub struct PostgresKeys(Arc<Shared>);

struct Shared {
    session: SharedSession,
    deadline: Duration,
    max_rows: usize,
}

/// Of those who make the tables at once, one does and the others find them made.
const MIGRATE: &str = "begin; select pg_advisory_xact_lock(4777002019310591);";

impl PostgresKeys {
    /// What makes the tables, in the first schema of the role's search path.
    pub const SCHEMA: &'static str = include_str!("postgres/schema.sql");

    /// Begins the description of a database: a URL, or `key=value` pairs, as of libpq.
    pub fn builder(url: &str) -> PostgresKeysBuilder {
        PostgresKeysBuilder::new(url)
    }

    /// Makes the tables if there are none.
    ///
    /// # Errors
    ///
    /// If the database cannot be asked, or does not allow it.
    pub async fn migrate(&self) -> Result<(), KeySourceError> {
        self.in_time(async |client| {
            let all = format!("{MIGRATE} {} commit;", Self::SCHEMA);
            client.batch_execute(&all).await?;
            Ok(())
        })
        .await
    }

    /// All records; [`read`](KeySource::read) tells as well which rows are none.
    ///
    /// # Errors
    ///
    /// If the database cannot be asked, or holds more rows than are read.
    pub async fn records(&self) -> Result<Vec<KeyRecord>, KeySourceError> {
        match self.read(None).await? {
            KeyRead::Records { records, .. } | KeyRead::Partial { records, .. } => Ok(records),
            KeyRead::Unchanged => Ok(Vec::new()),
        }
    }

    /// Adds the record of a new key. `false` if the key is there already, and nothing was done.
    ///
    /// # Errors
    ///
    /// If the database cannot be asked, or does not take it.
    pub async fn add(&self, record: &KeyRecord) -> Result<bool, KeySourceError> {
        let values = Values::of(record)?;
        self.in_time(async |client| Ok(client.execute_typed(INSERT, &values.all()).await? == 1))
            .await
    }

    /// Revokes a key. `false` if there is no such key; one that is revoked stays as it is.
    ///
    /// # Errors
    ///
    /// If the database cannot be asked, or does not take it.
    pub async fn revoke(&self, id: KeyId, now: WallTime) -> Result<bool, KeySourceError> {
        let now = seconds(now)?;
        let update = "update bartizan_api_keys set revoked = least(revoked, $2) where id = $1";
        self.in_time(async |client| {
            let id = id.as_str();
            let values = [(&id as _, Type::TEXT), (&now as _, Type::INT8)];
            Ok(client.execute_typed(update, &values).await? == 1)
        })
        .await
    }

    /// Stores both keys of a rotation, or neither. `false` if the old one is not what it was:
    /// somebody rotated, revoked or changed it meanwhile. The new one would have rights that were
    /// taken from the old one: read the record again, and rotate that.
    ///
    /// # Errors
    ///
    /// If the database cannot be asked, or does not take it.
    pub async fn rotate(&self, rotation: &Rotation) -> Result<bool, KeySourceError> {
        let (old, new) = (Values::of(&rotation.before())?, Values::of(&rotation.new)?);
        let expires = rotation.old.expires.map(seconds).transpose()?;
        self.in_time(async |client| {
            let transaction = client.transaction().await?;
            let successor = rotation.new.id;
            let successor = successor.as_str();
            let mut values = old.all().to_vec();
            values.extend([
                (&expires as &(dyn ToSql + Sync), Type::INT8),
                (&successor, Type::TEXT),
            ]);
            // Dropped, a transaction is undone.
            if transaction.execute_typed(REPLACE, &values).await? != 1 {
                return Ok(false);
            }
            if transaction.execute_typed(INSERT, &new.all()).await? != 1 {
                return Ok(false);
            }
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Runs a piece of work on the connection, within the deadline.
    async fn in_time<T>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Failed>,
    ) -> Result<T, KeySourceError> {
        let deadline = self.0.deadline;
        let done = timeout(deadline, async {
            let lease = self.0.session.lease_that_answers().await;
            let mut lease = lease.map_err(|error| told(&error))?;
            let done = work(lease.client()).await.map_err(KeySourceError::from)?;
            lease.give_back();
            Ok(done)
        });
        done.await.unwrap_or_else(|_| {
            let late = format!("no answer of the database within {deadline:?}");
            Err(KeySourceError::new(late))
        })
    }
}

/// What a piece of work can fail with.
enum Failed {
    Database(tokio_postgres::Error),
    Store(KeySourceError),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<KeySourceError> for Failed {
    fn from(error: KeySourceError) -> Self {
        Self::Store(error)
    }
}

impl From<Failed> for KeySourceError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Database(error) => told(&error),
            Failed::Store(error) => error,
        }
    }
}

fn told(error: &tokio_postgres::Error) -> KeySourceError {
    KeySourceError::new(describe(error))
}

impl KeySource for PostgresKeys {
    fn read(&self, known: Option<u64>) -> KeyAnswer<'_, KeyRead> {
        let most = self.0.max_rows;
        Box::pin(self.in_time(async move |client| {
            // The number first: what changes after it is seen by the next reading.
            let query = "select revision from bartizan_api_keys_revision";
            let row = client.query_typed(query, &[]).await?;
            let row = row.first();
            let row = row.ok_or_else(|| KeySourceError::new("the table of revisions is empty"))?;
            let revision: i64 = row.try_get(0)?;
            let revision = revision.cast_unsigned();
            if known == Some(revision) {
                return Ok(KeyRead::Unchanged);
            }
            let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
            let query = format!("select {COLUMNS} from bartizan_api_keys limit $1");
            let rows = client.query_typed(&query, &[(&limit, Type::INT8)]).await?;
            if rows.len() > most {
                let many = format!("more than {most} keys");
                return Err(KeySourceError::new(many).into());
            }
            let (mut records, mut ignored) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in &rows {
                match rows::record(row) {
                    Ok(record) => records.push(record),
                    Err(reason) => ignored.push(rows::ignored(row, reason)),
                }
            }
            let revision = Some(revision);
            Ok(match ignored.is_empty() {
                true => KeyRead::Records { records, revision },
                false => KeyRead::Partial {
                    records,
                    ignored,
                    revision,
                },
            })
        }))
    }

    fn record_uses<'s>(&'s self, uses: &'s [KeyUse]) -> KeyAnswer<'s, ()> {
        Box::pin(async move {
            let ids: Vec<&str> = uses.iter().map(|used| used.id.as_str()).collect();
            let times: Result<Vec<i64>, _> = uses.iter().map(|used| seconds(used.at)).collect();
            let times = times?;
            // Instances lock rows in the same order, so that none waits for another in a circle.
            let update = "with used as ( \
                     select id, at from unnest($1::text[], $2::bigint[]) as used(id, at) \
                 ), found as ( \
                     select keys.id, used.at from bartizan_api_keys as keys join used using (id) \
                     where keys.last_used is null or keys.last_used < used.at \
                     order by keys.id for update of keys \
                 ) \
                 update bartizan_api_keys as keys set last_used = found.at \
                 from found where keys.id = found.id";
            self.in_time(async |client| {
                let values = [
                    (&ids as _, Type::TEXT_ARRAY),
                    (&times as _, Type::INT8_ARRAY),
                ];
                client.execute_typed(update, &values).await?;
                Ok(())
            })
            .await
        })
    }
}

impl fmt::Debug for PostgresKeys {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresKeys")
            .field("database", self.0.session.database())
            .finish_non_exhaustive()
    }
}
