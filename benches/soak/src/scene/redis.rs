//! A Redis server, which can be killed and held up.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::net::TcpStream;

/// How long the server has to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that ends with the soak.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let child = spawn(address).context("redis-server is not installed")?;
        let redis = Self { child, address };
        redis.is_up().await?;
        Ok(redis)
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, with nothing remembered.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(self.address)?;
        self.is_up().await
    }

    /// Holds it up, or lets it go on: connections stay, and nothing is answered.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub(crate) fn set_hung(&self, hung: bool) -> anyhow::Result<()> {
        let signal = if hung { "-STOP" } else { "-CONT" };
        let process = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &process]).status()?;
        ensure!(status.success(), "Redis is not there");
        Ok(())
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
    let options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    Command::new("redis-server")
        .args(["--port", &port])
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
