//! A nats-server of our own, with a stream.

use std::process::{Command, Stdio};
use std::time::Duration;

use bartizan_audit::{NatsSink, NatsSinkBuilder};
use bartizan_testkit::DevelopmentCa;
use serde_json::{Value, json};

use crate::bus::{Bus, Stored};
use crate::process::{Running, free_port};
use crate::programs::{in_path, require};
use crate::support::Folder;
use crate::trouble::Server;

pub(crate) struct Nats {
    pub(crate) port: u16,
    pub(crate) ca: DevelopmentCa,
    program: std::path::PathBuf,
    // Ends before its folder does.
    running: Option<Running>,
    folder: Folder,
    /// What else stands in its configuration.
    pub(crate) more: String,
    /// How a test introduces itself.
    login: Value,
}

pub(crate) const STREAM: &str = "AUDIT";

impl Nats {
    /// Starts a server with a stream that takes `audit.>`; `None` if there is no such program.
    pub(crate) async fn start() -> Option<Self> {
        let mut nats = Self::plain()?;
        nats.run().await;
        nats.make_stream(STREAM, "audit.>").await;
        Some(nats)
    }

    /// One that logs clients in, with more configuration; it does not run yet.
    pub(crate) fn with(more: &str, login: Value) -> Option<Self> {
        let nats = Self::plain()?;
        Some(Self {
            more: more.to_owned(),
            login,
            ..nats
        })
    }

    fn plain() -> Option<Self> {
        let program = require("nats-server", in_path("nats-server"))?;
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path()).unwrap();
        Some(Self {
            port: free_port(),
            ca: DevelopmentCa::new("bus.test").unwrap(),
            program,
            running: None,
            folder,
            more: String::new(),
            login: json!({"verbose": false, "headers": true}),
        })
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn builder(&self) -> NatsSinkBuilder {
        NatsSink::builder(&format!("127.0.0.1:{}", self.port))
    }

    /// Starts it, and does not wait.
    pub(crate) fn spawn(&mut self) {
        let store = self.folder.path().join("store");
        let config = self.folder.path().join("nats.conf");
        let text = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: {store:?} }}\n{}\n",
            self.port, self.more
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.running = Some(Running(child));
    }

    pub(crate) async fn bus(&self) -> Bus {
        for _ in 0..600 {
            if let Ok(bus) = Bus::connect(self.port, &self.login).await {
                return bus;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nats-server does not answer");
    }

    pub(crate) async fn make_stream(&self, name: &str, subject: &str) {
        let question = json!({
            "name": name, "subjects": [subject], "storage": "file",
            "duplicate_window": 600_000_000_000_u64,
        });
        let create = format!("STREAM.CREATE.{name}");
        let answer = self.bus().await.ask(&create, &question).await;
        assert!(answer["error"].is_null(), "{answer}");
    }

    pub(crate) async fn messages(&self) -> Vec<Stored> {
        self.bus().await.messages(STREAM).await
    }
}

impl Server for Nats {
    type Sink = NatsSink;

    const IS_EXACT: bool = true;

    fn port(&self) -> u16 {
        self.port
    }

    async fn run(&mut self) {
        self.spawn();
        let mut bus = self.bus().await;
        // It answers before JetStream has read what it kept.
        for _ in 0..600 {
            if bus.ask("INFO", &json!({})).await["error"].is_null() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("there is no JetStream");
    }

    fn crash(&mut self) {
        self.running = None;
    }

    fn sink(&self, port: u16) -> NatsSink {
        let builder = NatsSink::builder(&format!("127.0.0.1:{port}"));
        let builder = builder.allow_plaintext_loopback().with_stream(STREAM);
        builder.build().unwrap()
    }

    async fn indexes(&mut self) -> Vec<u64> {
        let messages = self.messages().await;
        let index = |message: &Stored| {
            let payload: Value = serde_json::from_str(&message.payload).unwrap();
            payload["index"].as_u64().unwrap()
        };
        messages.iter().map(index).collect()
    }

    async fn clear(&mut self) {
        let delete = format!("STREAM.DELETE.{STREAM}");
        self.bus().await.ask(&delete, &json!({})).await;
        self.make_stream(STREAM, "audit.>").await;
    }
}
