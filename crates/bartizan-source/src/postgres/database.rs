//! A database that connections can be made to.

use std::fmt;
use std::future::poll_fn;

use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Config, Error};

use crate::postgres::builder::DatabaseBuilder;
use crate::postgres::session::{Listener, Session};
use crate::postgres::tls::Tls;

/// How many notes of others wait for who listens, before the connection does.
const NOTES: usize = 64;

/// A database, and how it is believed.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: Tls,
    setup: Option<&'static str>,
}

impl Database {
    /// Begins the description of a database: a URL, or `key=value` pairs, as of libpq.
    pub fn builder(url: &str) -> DatabaseBuilder {
        DatabaseBuilder::new(url)
    }

    pub(super) const fn new(config: Config, tls: Tls, setup: Option<&'static str>) -> Self {
        Self { config, tls, setup }
    }

    /// Makes a connection. It needs a tokio runtime, on which a task drives it.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, is not believed, or refuses.
    pub async fn connect(&self) -> Result<Session, Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        // What ends it shows at the next use.
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        let mut session = Session::new(client, driver.abort_handle());
        if let Some(setup) = self.setup {
            session.client().batch_execute(setup).await?;
        }
        Ok(session)
    }

    /// Makes a connection that hears of what is notified on `channel` from now on.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, is not believed, or refuses.
    pub async fn listen(&self, channel: &'static str) -> Result<Listener, Error> {
        let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
        let (sender, notes) = mpsc::channel(NOTES);
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
        let mut session = Session::new(client, driver.abort_handle());
        let listen = format!("listen {channel}");
        session.client().batch_execute(&listen).await?;
        Ok(Listener::new(notes, session))
    }
}

impl fmt::Debug for Database {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("hosts", &self.config.get_hosts())
            .field("name", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}
