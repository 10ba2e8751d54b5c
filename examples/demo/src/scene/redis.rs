//! A Redis server of the demo's own, on a free port of this machine.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpStream;

/// How long the server has to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that ends with the demo.
pub(crate) struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    /// Starts the server; `None` if none is installed.
    pub(super) async fn start() -> anyhow::Result<Option<Self>> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let child = match spawn(address) {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let required = std::env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some();
                anyhow::ensure!(!required, "redis-server is not installed");
                return Ok(None);
            }
            Err(error) => return Err(error).context("redis-server did not start"),
        };
        let redis = Self { child, address };
        redis.is_up().await?;
        Ok(Some(redis))
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Ends the server as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, with nothing remembered.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(self.address)?;
        self.is_up().await
    }

    async fn is_up(&self) -> anyhow::Result<()> {
        let connected = async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let up = tokio::time::timeout(PATIENCE, connected).await;
        up.context("redis-server does not answer")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(address: SocketAddr) -> std::io::Result<Child> {
    let port = address.port().to_string();
    Command::new("redis-server")
        .args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
