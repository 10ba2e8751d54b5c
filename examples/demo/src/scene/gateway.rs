//! A gateway, a service in Python behind it, and one that speaks WebSocket.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::service::start;

/// It knows of no token and no certificate, and to it `-` and `_` in a header are the same.
const PYTHON: &str = r#"
import json
from wsgiref.simple_server import WSGIRequestHandler, make_server

class Silent(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass

def stock(environ, start_response):
    who = environ.get("HTTP_X_BARTIZAN_SUBJECT", "nobody")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"customer": who}).encode()]

server = make_server("127.0.0.1", 0, stock, handler_class=Silent)
print(server.server_port, flush=True)
server.serve_forever()
"#;

const FILE: &str = r#"
name = "edge"
listen = "127.0.0.1:0"
health = "127.0.0.1:0"
policy = "gateway-policy.toml"
reload_seconds = 0.2

[tls]
certificate = "gateway.pem"
key = "gateway-key.pem"
trust_domain = "example.org"
bundle = "ca.pem"
peers = ["spiffe://example.org/**"]
allow_no_certificate = true

[tokens]
issuer = "ISSUER"
audience = "stock"
roots = "ca.pem"

[limits]
recheck_seconds = 0.2

[upstream.stock]
address = "STOCK"

[upstream.live]
address = "LIVE"

[[route]]
paths = ["/stock/{item}", "/public/{item}"]
upstream = "stock"

[[route]]
paths = ["/live"]
upstream = "live"
websocket = true
"#;

/// Whom the gateway lets in.
const POLICY: &str = r#"
version = 1

[[rule]]
name = "anybody"
effect = "allow"
to = [{ methods = ["GET"], paths = ["/public/{item}"] }]

[[rule]]
name = "readers"
effect = "allow"
from = [{ scopes = ["stock:read"] }]
to = [{ methods = ["GET"], paths = ["/stock/{item}", "/live"] }]
"#;

/// A gateway, and what stands behind it.
pub(crate) struct Gateway {
    pub(crate) requests: SocketAddr,
    /// Where it says what it has decided.
    pub(crate) health: SocketAddr,
    policy: PathBuf,
    python: Mutex<Child>,
}

impl Gateway {
    /// Starts all of it; `None` where there is no Python.
    pub(super) async fn start(folder: &Path, issuer: &str) -> anyhow::Result<Option<Self>> {
        let Some((python, stock)) = python()? else {
            return Ok(None);
        };
        let policy = folder.join("gateway-policy.toml");
        std::fs::write(&policy, POLICY)?;
        let file = folder.join("gateway.toml");
        let text = FILE
            .replace("ISSUER", issuer)
            .replace("STOCK", &stock.to_string())
            .replace("LIVE", &mirror().await?.to_string());
        std::fs::write(&file, text)?;
        let config = gateway::Config::read(&file)?;
        let at = start(|ready| gateway::run(config, ready, std::future::pending()));
        let at: gateway::Listening = at.await.context("the gateway did not start")?;
        Ok(Some(Self {
            requests: at.requests,
            health: at.health.context("the gateway says nothing of itself")?,
            policy,
            python: Mutex::new(python),
        }))
    }

    /// Takes a path out of the rule that allows it.
    pub(crate) fn withdraw(&self, path: &str) -> std::io::Result<()> {
        std::fs::write(&self.policy, POLICY.replace(path, "/nowhere"))
    }

    /// Ends the service in Python as a crash would.
    pub(crate) fn kill_python(&self) {
        if let Ok(mut python) = self.python.lock() {
            let _ = python.kill();
            let _ = python.wait();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill_python();
    }
}

fn python() -> anyhow::Result<Option<(Child, SocketAddr)>> {
    let started = Command::new("python3")
        .args(["-c", PYTHON])
        .stdout(Stdio::piped())
        .spawn();
    let mut python = match started {
        Ok(python) => python,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let required = std::env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some();
            anyhow::ensure!(!required, "python3 is not installed");
            return Ok(None);
        }
        Err(error) => return Err(error).context("python3 did not start"),
    };
    let mut line = String::new();
    let said = python.stdout.take().context("python3 cannot be heard")?;
    BufReader::new(said).read_line(&mut line)?;
    let port: u16 = line.trim().parse().context("python3 does not listen")?;
    Ok(Some((python, ([127, 0, 0, 1], port).into())))
}

/// A service that agrees to a WebSocket, and then sends everything back.
async fn mirror() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(reflect(stream));
        }
    });
    Ok(address)
}

async fn reflect(mut stream: TcpStream) -> std::io::Result<u64> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let agreed = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                   upgrade: websocket\r\n\r\n";
    stream.write_all(agreed).await?;
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await
}
