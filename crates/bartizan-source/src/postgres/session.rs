//! Connections, and the tasks that drive them.

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_postgres::Client;

/// A connection and the task that drives it, which ends with it.
#[derive(Debug)]
pub struct Session {
    client: Client,
    driver: AbortHandle,
}

impl Session {
    pub(super) const fn new(client: Client, driver: AbortHandle) -> Self {
        Self { client, driver }
    }

    /// What speaks to the database.
    pub const fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Whether it is known to be broken.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Ends it now.
    pub(super) fn close(&self) {
        self.driver.abort();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

/// Hears of what others notify; made by [`Database::listen`](super::Database::listen).
#[derive(Debug)]
pub struct Listener {
    notes: mpsc::Receiver<String>,
    _session: Session,
}

impl Listener {
    pub(super) const fn new(notes: mpsc::Receiver<String>, session: Session) -> Self {
        Self {
            notes,
            _session: session,
        }
    }

    /// Waits for the next notes; `None` if the connection broke, and some were told to nobody.
    pub async fn next(&mut self) -> Option<Vec<String>> {
        let mut notes = Vec::new();
        let most = self.notes.max_capacity();
        (self.notes.recv_many(&mut notes, most).await > 0).then_some(notes)
    }
}
