//! Key records as rows of PostgreSQL, which all instances of a service share.

mod config;
mod notes;
mod rows;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_source::postgres::{Lease, Listener, SharedSession, describe};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use crate::key::{KeyRecord, KeyScope};
use crate::postgres::notes::{CHANNEL, notes, scopes};
use crate::postgres::rows::{COLUMNS, Row, subject_of};
use crate::store::{KeyChange, KeyStore, StoreAnswer, StoreError};

pub use self::config::PostgresKeysBuilder;

/// Keeps key records in a table of PostgreSQL.
///
/// 1. The table is [`SCHEMA`](Self::SCHEMA); [`migrate`](Self::migrate) makes it. The role in use
///    takes `select`, `insert` and `update` on it, and never `delete`: tombstones stay.
/// 2. Changes are compared and set in one transaction, so that of two instances that make a
///    tenant's first key at once, or rotate at once, one does and the other learns of it.
///    `synchronous_commit` is on, whatever the server's default.
/// 3. Who changed a key tells the others (`NOTIFY`), and their [`Keyring`](crate::Keyring)s fetch
///    it at once rather than when their ttl ends. Through a pool that shares sessions, such as
///    PgBouncer's transactions, nobody is told; the ttl remains.
/// 4. One connection, made when needed and again after it broke, and one more for listening.
///
/// What a row holds is wrapped, and bound to its row. Whoever can write to the table can take keys
/// away, or put an older state in place. Names of tenants and people stand in it as they are, also
/// in tombstones: name people by a number or pseudonym. Destroyed keys remain in dead rows until
/// `VACUUM`, in the write-ahead log and in backups, as long as those are kept.
///
/// ```no_run
/// use bartizan_encrypt::{Keyring, LocalKek, PostgresKeys};
///
/// # async fn run(kek: LocalKek) -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresKeys::builder("postgresql://keys@db.internal/clinic")
///     .with_root_pem(&std::fs::read("/etc/pki/db.pem")?)
///     .build()?;
/// store.migrate().await?;
/// let keyring = Keyring::builder("clinic", store, kek).build()?;
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone.
#[derive(Clone)]
pub struct PostgresKeys(Arc<Shared>);

pub(super) struct Shared {
    session: SharedSession,
    deadline: Duration,
    listener: Mutex<Option<Listener>>,
}

impl PostgresKeys {
    /// What makes the table, in the first schema of the role's search path.
    pub const SCHEMA: &'static str = include_str!("postgres/schema.sql");

    /// Begins the description of a database: a URL, or `key=value` pairs, as of libpq.
    pub fn builder(url: &str) -> PostgresKeysBuilder {
        PostgresKeysBuilder::new(url)
    }

    /// Makes the table if there is none.
    ///
    /// # Errors
    ///
    /// If the database cannot be asked, or does not allow it.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.in_time(async {
            let mut lease = self.lease().await?;
            let made = lease.client().batch_execute(Self::SCHEMA).await;
            match made {
                Ok(()) => {}
                // Another instance made it at the same moment.
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
                Err(error) => return Err(told(&error)),
            }
            lease.give_back();
            Ok(())
        })
        .await
    }

    async fn lease(&self) -> Result<Lease<'_>, StoreError> {
        self.0.session.lease().await.map_err(|error| told(&error))
    }

    async fn listen(&self) -> Result<Listener, StoreError> {
        let listening = self.0.session.database().listen(CHANNEL).await;
        listening.map_err(|error| told(&error))
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        within(self.0.deadline, work).await
    }

    async fn rows(&self, scope: Option<&KeyScope>) -> Result<Vec<KeyRecord>, StoreError> {
        let mut lease = self.lease().await?;
        let found = match self.select(&mut lease, scope).await {
            // The connection broke while nobody looked; reading may be repeated.
            Err(_) if lease.is_broken() => {
                lease.renew().await.map_err(|error| told(&error))?;
                self.select(&mut lease, scope).await?
            }
            found => found?,
        };
        lease.give_back();
        Ok(found)
    }

    async fn select(
        &self,
        lease: &mut Lease<'_>,
        scope: Option<&KeyScope>,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        let client = lease.client();
        let rows = match scope {
            None => {
                let query = format!("select {COLUMNS} from bartizan_keys");
                client.query_typed(&query, &[]).await
            }
            Some(scope) => {
                let query = format!(
                    "select {COLUMNS} from bartizan_keys \
                     where tenant = $1 and subject = $2 and purpose = $3"
                );
                let (tenant, subject) = (scope.tenant_name(), subject_of(scope)?);
                let purpose = scope.purpose().name();
                client
                    .query_typed(
                        &query,
                        &[
                            (&tenant, Type::TEXT),
                            (&subject, Type::TEXT),
                            (&purpose, Type::TEXT),
                        ],
                    )
                    .await
            }
        };
        let rows = rows.map_err(|error| told(&error))?;
        rows.iter().map(rows::record).collect()
    }

    async fn change(&self, mut changes: Vec<KeyChange>) -> Result<bool, StoreError> {
        // Everybody locks rows in the same order.
        changes.sort_by_key(|change| *change.after.id.as_bytes());
        if !changes.iter().all(rows::stays_itself) {
            return Ok(false);
        }
        let mut lease = self.lease().await?;
        // Nothing has begun yet: a broken connection is still replaced.
        if lease.client().execute_typed("select 1", &[]).await.is_err() {
            lease.renew().await.map_err(|error| told(&error))?;
        }
        match make(lease.client(), &changes).await {
            Ok(done) => {
                lease.give_back();
                Ok(done)
            }
            Err(error) if is_conflict(&error) => {
                lease.give_back();
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(deadline, work).await.unwrap_or_else(|_| {
        let late = format!("no answer of the database within {deadline:?}");
        Err(StoreError::new(late))
    })
}

/// All of the changes in one transaction, or none.
async fn make(client: &mut Client, changes: &[KeyChange]) -> Result<bool, Failed> {
    let transaction = client.transaction().await?;
    for change in changes {
        let after = Row::new(&change.after)?;
        let made = match &change.before {
            None => {
                transaction
                    .execute_typed(rows::INSERT, &after.values())
                    .await?
            }
            Some(before) => {
                let before = Row::new(before)?;
                let values = [after.changing(), before.values().to_vec()].concat();
                transaction.execute_typed(rows::UPDATE, &values).await?
            }
        };
        // Dropped, a transaction is undone.
        if made != 1 {
            return Ok(false);
        }
    }
    for note in notes(changes) {
        let note = (&note as &(dyn ToSql + Sync), Type::TEXT);
        let notify = format!("select pg_notify('{CHANNEL}', $1)");
        transaction.execute_typed(&notify, &[note]).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// What a change can fail with.
enum Failed {
    Database(tokio_postgres::Error),
    Store(StoreError),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Database(error) => told(&error),
            Failed::Store(error) => error,
        }
    }
}

/// Whether somebody else changed the same rows meanwhile, and the database chose them.
fn is_conflict(failed: &Failed) -> bool {
    let Failed::Database(error) = failed else {
        return false;
    };
    matches!(
        error.code(),
        Some(&SqlState::T_R_DEADLOCK_DETECTED)
            | Some(&SqlState::T_R_SERIALIZATION_FAILURE)
            | Some(&SqlState::UNIQUE_VIOLATION)
    )
}

fn told(error: &tokio_postgres::Error) -> StoreError {
    StoreError::new(describe(error))
}

impl KeyStore for PostgresKeys {
    fn read<'s>(&'s self, scope: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        // Everything there is takes longer than the keys of one scope.
        let deadline = match scope {
            Some(_) => self.0.deadline,
            None => self.0.deadline.saturating_mul(60),
        };
        Box::pin(within(deadline, self.rows(scope)))
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        Box::pin(self.in_time(self.change(changes)))
    }

    fn changes(&self) -> StoreAnswer<'_, Vec<KeyScope>> {
        Box::pin(async move {
            let mut listener = self.0.listener.lock().await;
            // Taken out, so that one that broke, or is given up half way, is not used again.
            let (mut held, missed) = match listener.take() {
                Some(held) => (held, false),
                // What was told until now was told to nobody.
                None => (self.in_time(self.listen()).await?, true),
            };
            let changed = if missed {
                Vec::new()
            } else {
                let gone = || StoreError::new("the connection for changes broke");
                scopes(&held.next().await.ok_or_else(gone)?)
            };
            *listener = Some(held);
            Ok(changed)
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
