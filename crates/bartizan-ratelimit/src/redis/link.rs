//! One server, and the connection to it that is kept alive.

use std::sync::{Arc, OnceLock};

use bartizan_source::{Backoff, random};
use redis::aio::MultiplexedConnection;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::address::Address;
use super::dial::{Dialer, Driver};
use super::script::Failed;
use super::sentinel::Sentinels;
use crate::store::StoreError;

/// Where a link leads to.
#[derive(Debug)]
pub(super) enum Target {
    Server(Address),
    Primary(Sentinels),
}

/// One server, and the connection to it. A task of its own connects and reconnects; whoever asks
/// gets the connection there is, waits for the first attempt, or is told that there is none.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    task: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    dialer: Dialer,
    line: watch::Sender<Line>,
    hang_up: Notify,
}

#[derive(Debug)]
enum Line {
    Dialling,
    Down(Arc<str>),
    Up(MultiplexedConnection),
}

impl Link {
    pub(super) fn new(target: Target, dialer: Dialer) -> Self {
        let shared = Shared {
            target,
            dialer,
            line: watch::Sender::new(Line::Dialling),
            hang_up: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            task: OnceLock::new(),
        }
    }

    /// The connection. Waits only while the first attempt since the last success is under way.
    pub(super) async fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        self.task.get_or_init(|| {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(keep(shared)).abort_handle()
        });
        let mut line = self.shared.line.subscribe();
        loop {
            match &*line.borrow_and_update() {
                Line::Up(connection) => return Ok(connection.clone()),
                Line::Down(reason) => return Err(StoreError::Disconnected(Arc::clone(reason))),
                Line::Dialling => {}
            }
            if line.changed().await.is_err() {
                return Err(StoreError::Disconnected("closed".into()));
            }
        }
    }

    /// Looks at what has gone wrong: a server that is no primary any more is left.
    pub(super) fn mind(&self, failed: &Failed) {
        if let Failed::Answered(error) = failed
            && error.code() == Some("READONLY")
        {
            self.hang_up();
        }
    }

    /// Whether the server answers. If it does not, or not before this is dropped, the connection
    /// is taken to be dead: a network that swallows packets never says so.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        let suspicion = Suspicion(Some(self));
        let ping = redis::cmd("PING");
        match ping.query_async::<redis::Value>(&mut connection).await {
            Ok(_) => {
                suspicion.lift();
                Ok(())
            }
            Err(error) => Err(Failed::Answered(error).into_error()),
        }
    }

    fn hang_up(&self) {
        self.shared.hang_up.notify_one();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// Hangs up unless it is lifted.
struct Suspicion<'l>(Option<&'l Link>);

impl Suspicion<'_> {
    fn lift(mut self) {
        self.0 = None;
    }
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.0 {
            link.hang_up();
        }
    }
}

/// Connects, and connects again.
async fn keep(shared: Arc<Shared>) {
    let (first, last) = shared.dialer.pauses();
    let mut backoff = Backoff::new(first, last);
    loop {
        let dialled = timeout(shared.dialer.deadline(), dial(&shared)).await;
        match dialled.unwrap_or_else(|_| Err("no answer".into())) {
            Ok((connection, driver)) => {
                backoff.reset();
                shared.line.send_replace(Line::Up(connection));
                tokio::select! {
                    () = driver => {}
                    () = shared.hang_up.notified() => {}
                }
                shared.line.send_replace(Line::Dialling);
            }
            Err(reason) => {
                shared.line.send_replace(Line::Down(reason));
                sleep(first / 4 + backoff.next(random())).await;
            }
        }
    }
}

async fn dial(shared: &Shared) -> Result<(MultiplexedConnection, Driver), Arc<str>> {
    match &shared.target {
        Target::Primary(sentinels) => sentinels.dial(&shared.dialer).await,
        Target::Server(address) => shared.dialer.dial(address).await,
    }
}
