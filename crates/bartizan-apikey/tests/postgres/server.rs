//! A PostgreSQL of our own, with keys in it.

use std::time::Duration;

use bartizan_apikey::{PostgresKeys, PostgresKeysBuilder};
use bartizan_testkit::{DevelopmentCa, PostgresServer};
use tokio_postgres::{Client, NoTls};

pub(crate) struct Postgres(PostgresServer);

impl Postgres {
    /// Makes a cluster and starts it; `None` if there is no such program.
    pub(crate) async fn start() -> Option<Self> {
        let started = PostgresServer::start("orders", &[]).await;
        started.unwrap().map(Self)
    }

    /// Starts the server, after a crash as well.
    pub(crate) async fn run(&mut self) {
        self.0.run().await.unwrap();
    }

    /// Kills the server.
    pub(crate) fn crash(&mut self) {
        self.0.crash();
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    pub(crate) fn ca(&self) -> &DevelopmentCa {
        self.0.ca()
    }

    pub(crate) fn keys(&self) -> PostgresKeysBuilder {
        PostgresKeys::builder(&self.url()).allow_plaintext_loopback()
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// Waits until something is so, for a minute at most.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a minute passed, and not: {what}");
}
