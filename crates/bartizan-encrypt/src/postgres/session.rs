//! Connections: made when needed, lent to one piece of work at a time, replaced when broken.

use std::future::poll_fn;

use tokio::sync::{MutexGuard, mpsc};
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Client};

use crate::key::KeyScope;
use crate::postgres::{CHANNEL, Shared, told};
use crate::store::StoreError;

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
    shared: &'l Shared,
    place: MutexGuard<'l, Option<Session>>,
    session: Option<Session>,
}

impl Lease<'_> {
    pub(super) fn client(&mut self) -> Result<&mut Client, StoreError> {
        let gone = || StoreError::new("no connection");
        self.session
            .as_mut()
            .map(|session| &mut session.client)
            .ok_or_else(gone)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.session
            .as_ref()
            .is_none_or(|session| session.client.is_closed())
    }

    pub(super) async fn renew(&mut self) -> Result<(), StoreError> {
        self.session = None;
        self.session = Some(self.shared.connect().await?);
        Ok(())
    }

    pub(super) fn give_back(mut self) {
        if !self.is_broken() {
            *self.place = self.session.take();
        }
    }
}

impl Shared {
    pub(super) async fn lease(&self) -> Result<Lease<'_>, StoreError> {
        let mut place = self.session.lock().await;
        let session = match place.take() {
            Some(session) if !session.client.is_closed() => session,
            _ => self.connect().await?,
        };
        Ok(Lease {
            shared: self,
            place,
            session: Some(session),
        })
    }

    async fn connect(&self) -> Result<Session, StoreError> {
        let connected = self.config.connect(self.tls.clone()).await;
        let (client, connection) = connected.map_err(|error| told(&error))?;
        // What ends it shows at the next use.
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        let session = Session {
            client,
            driver: driver.abort_handle(),
        };
        // An answer is durable before it is given.
        let durable = "set synchronous_commit = on";
        let set = session.client.batch_execute(durable).await;
        set.map_err(|error| told(&error))?;
        Ok(session)
    }

    /// A connection that hears of changes from now on.
    pub(super) async fn listen(&self) -> Result<Listener, StoreError> {
        let connected = self.config.connect(self.tls.clone()).await;
        let (client, mut connection) = connected.map_err(|error| told(&error))?;
        let (sender, notes) = mpsc::channel(64);
        let driver = tokio::spawn(async move {
            loop {
                let message = poll_fn(|cx| connection.poll_message(cx)).await;
                let Some(Ok(message)) = message else { return };
                if let AsyncMessage::Notification(note) = message
                    && sender.send(note.payload().to_owned()).await.is_err()
                {
                    return;
                }
            }
        });
        let session = Session {
            client,
            driver: driver.abort_handle(),
        };
        let listen = format!("listen {CHANNEL}");
        let listening = session.client.batch_execute(&listen).await;
        listening.map_err(|error| told(&error))?;
        Ok(Listener {
            notes,
            _session: session,
        })
    }
}

/// Hears of what others change.
pub(super) struct Listener {
    notes: mpsc::Receiver<String>,
    _session: Session,
}

impl Listener {
    /// The scopes of the next notes; none if one of them does not say.
    pub(super) async fn next(&mut self) -> Result<Vec<KeyScope>, StoreError> {
        let mut notes = Vec::new();
        if self.notes.recv_many(&mut notes, 64).await == 0 {
            return Err(StoreError::new("the connection for changes broke"));
        }
        let scopes: Result<Vec<_>, _> = notes
            .iter()
            .map(|note| serde_json::from_str(note))
            .collect();
        Ok(scopes.unwrap_or_default())
    }
}
