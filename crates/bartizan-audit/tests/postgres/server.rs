//! A PostgreSQL of our own, as a server that can be in trouble.

use bartizan_audit::{PostgresSink, PostgresSinkBuilder};
use bartizan_testkit::{DevelopmentCa, PostgresServer};
use tokio_postgres::{Client, NoTls};

use crate::trouble::Server;

pub(crate) struct Postgres(PostgresServer);

impl Postgres {
    /// Makes a cluster and starts it; `None` if there is no such program.
    pub(crate) async fn start() -> Option<Self> {
        // What a commit promises is not to hang on the server's default.
        let settings = ["synchronous_commit=off"];
        let started = PostgresServer::start("audit", &settings).await;
        started.unwrap().map(Self)
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    pub(crate) fn ca(&self) -> &DevelopmentCa {
        self.0.ca()
    }

    pub(crate) fn builder(&self) -> PostgresSinkBuilder {
        PostgresSink::builder(&self.url()).allow_plaintext_loopback()
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

impl Server for Postgres {
    type Sink = PostgresSink;

    const IS_EXACT: bool = true;

    fn port(&self) -> u16 {
        self.0.port()
    }

    async fn run(&mut self) {
        self.0.run().await.unwrap();
    }

    fn crash(&mut self) {
        self.0.crash();
    }

    fn sink(&self, port: u16) -> PostgresSink {
        let builder = PostgresSink::builder(&self.0.url_through(port));
        builder
            .allow_plaintext_loopback()
            .create_table()
            .build()
            .unwrap()
    }

    async fn indexes(&mut self) -> Vec<u64> {
        let query = "select index from bartizan_audit order by index";
        let rows = self.client().await.query(query, &[]).await.unwrap();
        rows.iter()
            .map(|row| row.get::<_, i64>(0).try_into().unwrap())
            .collect()
    }

    async fn clear(&mut self) {
        let drop = "drop table if exists bartizan_audit";
        self.client().await.batch_execute(drop).await.unwrap();
    }
}
