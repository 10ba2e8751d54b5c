//! Connections to PostgreSQL that are believed by roots which were given, and no others.
//!
//! What a store or a sink says to its database is its own. How the database is named, how it is
//! believed, and what becomes of a connection that breaks or was left in the middle of something,
//! is the same for all of them, and is here.
//!
//! ```
//! use bartizan_source::postgres::{Database, DatabaseError};
//!
//! let refused = Database::builder("postgresql://orders@db.internal/orders").build();
//! assert_eq!(refused.err(), Some(DatabaseError::NoRoots), "plaintext goes no further than here");
//! let local = Database::builder("postgresql://orders@localhost/orders");
//! assert!(local.allow_plaintext_loopback().build().is_ok());
//! ```

mod builder;
mod database;
mod lease;
mod session;
mod tls;

use std::error::Error as _;

pub use self::builder::{DatabaseBuilder, DatabaseError};
pub use self::database::Database;
pub use self::lease::{Lease, SharedSession};
pub use self::session::{Listener, Session};

/// What the database says, for logs; it names columns and constraints, and no values.
#[must_use]
pub fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{}: {}", said.code().code(), said.message()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
