//! One connection: made when needed, lent to one piece of work at a time, replaced when broken.

use tokio::sync::MutexGuard;
use tokio::task::AbortHandle;
use tokio_postgres::Client;

use crate::postgres::{Shared, told};
use crate::source::KeySourceError;

/// A connection and the task that drives it, which ends with it.
pub(super) struct Session {
    client: Client,
    driver: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A connection on loan. One that is not given back, because the work failed or was given up half
/// way, is closed: nobody knows what it was in the middle of.
pub(super) struct Lease<'l> {
    place: MutexGuard<'l, Option<Session>>,
    session: Session,
}

impl Lease<'_> {
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.session.client
    }

    pub(super) fn give_back(mut self) {
        if !self.session.client.is_closed() {
            *self.place = Some(self.session);
        }
    }
}

impl Shared {
    /// The connection, if it still answers, or a new one.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, KeySourceError> {
        let mut place = self.session.lock().await;
        if let Some(session) = place.take() {
            let answers = session.client.batch_execute("").await;
            if answers.is_ok() {
                return Ok(Lease { place, session });
            }
        }
        let session = self.connect().await?;
        Ok(Lease { place, session })
    }

    async fn connect(&self) -> Result<Session, KeySourceError> {
        let connected = self.config.connect(self.tls.clone()).await;
        let (client, connection) = connected.map_err(|error| told(&error))?;
        // What ends it shows at the next use.
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Session {
            client,
            driver: driver.abort_handle(),
        })
    }
}
