//! Entries as rows of PostgreSQL.

mod config;
mod rows;

use std::fmt;

use bartizan_source::postgres::{Database, Session, describe};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::render::{Format, Renderer};
use crate::sink::postgres::rows::{COMPARE, INSERT, Rows};
use crate::sink::{Accepted, Batch, Sink, SinkAnswer, SinkError, SinkErrorKind};

pub use self::config::PostgresSinkBuilder;

/// Writes entries into a table of PostgreSQL.
///
/// 1. A batch is one transaction, and it is over when the database says that it is durable
///    (`synchronous_commit` is on for it, whatever the server's default).
/// 2. Every entry stands there once: its log and its index are the table's primary key, and what
///    is there already is left as it is.
/// 3. What is there already must be the same bytes. If it is not, either the database or the ledger
///    was changed, or two logs have the same name: [`SinkErrorKind::Conflict`], and nothing is
///    written.
/// 4. The table is [`SCHEMA`](Self::SCHEMA). The role in use takes `select` and `insert` on it, and
///    never `update` or `delete`.
/// 5. The columns `hash` and `entry` hold what the Merkle tree is made of: with a checkpoint, proofs
///    are made from the database alone, also of entries that the ledger has pruned.
///
/// Texts have U+FFFD in place of NUL, which the database does not take; `entry` has the bytes as
/// they are. Whoever can change the table can change what queries find: verify `entry` against
/// `hash`, and the hashes against a checkpoint.
///
/// ```no_run
/// use bartizan_audit::{Delivery, Ledger, PostgresSink};
///
/// # async fn run(ledger: Ledger) -> Result<(), Box<dyn std::error::Error>> {
/// let sink = PostgresSink::builder("postgresql://audit@db.internal/audit")
///     .with_root_pem(&std::fs::read("/etc/pki/db.pem")?)
///     .build()?;
/// let delivery = Delivery::builder("/var/lib/orders/audit", "postgres", sink)
///     .with_ledger(&ledger)
///     .start()?;
/// # Ok(())
/// # }
/// ```
pub struct PostgresSink {
    database: Database,
    create_table: bool,
    format: Format,
    service: Option<String>,
    session: Option<Session>,
}

impl PostgresSink {
    /// What makes the table, in the first schema of the role's search path.
    pub const SCHEMA: &'static str = include_str!("postgres/schema.sql");

    /// Begins the description of a database: a URL, or `key=value` pairs, as of libpq.
    pub fn builder(url: &str) -> PostgresSinkBuilder {
        PostgresSinkBuilder::new(url)
    }

    async fn connect(&mut self) -> Result<Session, SinkError> {
        let connected = self.database.connect().await;
        let mut session = connected.map_err(|error| told(&error))?;
        if self.create_table {
            match session.client().batch_execute(Self::SCHEMA).await {
                Ok(()) => {}
                // Another instance made it at the same moment.
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
                Err(error) => return Err(told(&error)),
            }
            self.create_table = false;
        }
        Ok(session)
    }

    async fn write(&mut self, batch: Batch<'_>) -> Result<Accepted, SinkError> {
        let mut renderer = Renderer::new(self.format, batch.origin);
        if let Some(service) = &self.service {
            renderer = renderer.with_service(service);
        }
        let rows = Rows::new(batch.entries, &renderer)?;
        // Taken out: one that fails, or is given up half way, is closed. Nobody knows what it was
        // in the middle of.
        let mut session = match self.session.take() {
            Some(session) if !session.is_closed() => session,
            _ => self.connect().await?,
        };
        insert(session.client(), batch.origin, &rows).await?;
        self.session = Some(session);
        Ok(Accepted::all())
    }
}

/// All of the rows in one transaction, or none.
async fn insert(client: &mut Client, origin: &str, rows: &Rows<'_>) -> Result<(), SinkError> {
    let failed = |error: Error| told(&error);
    let transaction = client.transaction().await.map_err(failed)?;
    let durable = "set local synchronous_commit = on";
    transaction.batch_execute(durable).await.map_err(failed)?;
    let values = rows.values(&origin);
    let made = transaction.execute_typed(INSERT, &values).await;
    if made.map_err(failed)? != rows.len() as u64 {
        let values = rows.identity(&origin);
        let found = transaction.query_typed(COMPARE, &values).await;
        let found = found.map_err(failed)?;
        let row = found.first();
        let other: Option<i64> = row.and_then(|row| row.get("other"));
        let missing: i64 = row.map_or(0, |row| row.get("missing"));
        // Dropped, a transaction is undone.
        if let Some(index) = other {
            let message = format!("the table has another entry {index} of {origin}");
            return Err(SinkError::new(SinkErrorKind::Conflict, message));
        }
        if missing > 0 {
            let message = format!("the table did not take {missing} rows");
            return Err(SinkError::new(SinkErrorKind::Refused, message));
        }
    }
    transaction.commit().await.map_err(failed)
}

/// What the database says, for logs; it names columns and constraints, and no values.
fn told(error: &Error) -> SinkError {
    // The class of the code: what an operator intervened in, resources, conflicts, connections.
    let class = error.code().map(|code| code.code().get(..2));
    let kind = match class {
        None | Some(Some("08" | "25" | "40" | "53" | "55" | "57" | "58")) => {
            SinkErrorKind::Unavailable
        }
        Some(_) => SinkErrorKind::Refused,
    };
    SinkError::new(kind, describe(error))
}

impl Sink for PostgresSink {
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s> {
        Box::pin(self.write(batch))
    }
}

impl fmt::Debug for PostgresSink {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSink")
            .field("database", &self.database)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}
