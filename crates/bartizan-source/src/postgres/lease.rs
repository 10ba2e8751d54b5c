//! One connection: made when needed, lent to one piece of work at a time, replaced when broken.

use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, Error};

use crate::postgres::database::Database;
use crate::postgres::session::Session;

/// The one connection of a store to its database.
#[derive(Debug)]
pub struct SharedSession {
    database: Database,
    place: Mutex<Option<Session>>,
}

impl SharedSession {
    /// A connection to `database`, which is made when it is first needed.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            place: Mutex::new(None),
        }
    }

    /// Where it leads.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Waits for the connection; it may have broken while nobody looked.
    ///
    /// # Errors
    ///
    /// There was none, and none could be made.
    pub async fn lease(&self) -> Result<Lease<'_>, Error> {
        let mut place = self.place.lock().await;
        let session = match place.take() {
            Some(session) if !session.is_closed() => session,
            _ => self.database.connect().await?,
        };
        Ok(Lease {
            database: &self.database,
            place,
            session,
        })
    }

    /// Waits for the connection, asks it, and makes another if it does not answer.
    ///
    /// # Errors
    ///
    /// There was none that answers, and none could be made.
    pub async fn lease_that_answers(&self) -> Result<Lease<'_>, Error> {
        let mut place = self.place.lock().await;
        let mut session = place.take();
        if let Some(held) = &mut session
            && held.client().batch_execute("").await.is_err()
        {
            session = None;
        }
        let session = match session {
            Some(session) => session,
            None => self.database.connect().await?,
        };
        Ok(Lease {
            database: &self.database,
            place,
            session,
        })
    }
}

/// A connection on loan. One that is not given back, because the work failed or was given up half
/// way, is closed: nobody knows what it was in the middle of.
#[derive(Debug)]
#[must_use = "dropped, the connection is closed"]
pub struct Lease<'l> {
    database: &'l Database,
    place: MutexGuard<'l, Option<Session>>,
    session: Session,
}

impl Lease<'_> {
    /// What speaks to the database.
    pub const fn client(&mut self) -> &mut Client {
        self.session.client()
    }

    /// Whether the connection is known to be broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.session.is_closed()
    }

    /// Ends the connection and makes another.
    ///
    /// # Errors
    ///
    /// None could be made.
    pub async fn renew(&mut self) -> Result<(), Error> {
        self.session.close();
        self.session = self.database.connect().await?;
        Ok(())
    }

    /// Leaves the connection to whoever is next.
    pub fn give_back(mut self) {
        if !self.is_broken() {
            *self.place = Some(self.session);
        }
    }
}
