//! The service in a process of its own, so that its memory is its own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::serve::{Config, Farewell};

/// How long it may take to end: what drains, what is written, and some more.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running service.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    /// Closing it tells the service to end.
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Service {
    pub(super) async fn start(config: &Config) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("serve")
            .arg("--identity")
            .arg(&config.identity)
            .args(["--issuer", &config.issuer])
            .arg("--issuer-roots")
            .arg(&config.issuer_roots)
            .args(["--redis", &config.redis])
            .arg("--ledger")
            .arg(&config.ledger)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let first = lines.next_line().await?;
        let address = first.context("it ended at once")?.parse()?;
        Ok(Self {
            input: child.stdin.take(),
            child,
            lines,
            address,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process, while it runs.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it in order, and gives what it says at its end.
    ///
    /// # Errors
    ///
    /// If it does not end, or says nothing.
    pub(crate) async fn end(&mut self) -> anyhow::Result<Farewell> {
        self.input = None;
        let last = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let last = last.context("the service does not end")??;
        let last = last.context("the service died")?;
        tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok(serde_json::from_str(&last)?)
    }
}
