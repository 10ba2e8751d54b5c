//! Servers on free ports of this machine, which end with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use crate::support::until;

/// A server of its own, killed when it is dropped.
pub(crate) struct Server {
    program: &'static str,
    arguments: Vec<String>,
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Server {
    /// A plain server; `None` if there is no program for it here.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    /// A server with further arguments.
    pub(crate) async fn with(arguments: &[&str]) -> Option<Self> {
        let port = free_port();
        let server = Self::spawn("redis-server", port, |port, _| {
            let mut all: Vec<String> = ["--port", port].map(str::to_owned).into();
            all.extend(arguments.iter().map(|it| (*it).to_owned()));
            all
        })?;
        server.is_up().await;
        Some(server)
    }

    /// A server that speaks TLS alone, and asks for no certificate.
    pub(crate) async fn with_tls(folder: &Path, name: &str) -> Option<Self> {
        let file = |suffix: &str| folder.join(format!("{name}{suffix}")).display().to_string();
        let (certificate, key) = (file(".pem"), file("-key.pem"));
        let authority = folder.join("ca.pem").display().to_string();
        let server = Self::spawn("redis-server", free_port(), |port, _| {
            [
                "--port",
                "0",
                "--tls-port",
                port,
                "--tls-auth-clients",
                "no",
                "--tls-cert-file",
                &certificate,
                "--tls-key-file",
                &key,
                "--tls-ca-cert-file",
                &authority,
            ]
            .map(str::to_owned)
            .into()
        })?;
        until(async || std::net::TcpStream::connect(("127.0.0.1", server.port)).is_ok()).await;
        Some(server)
    }

    /// A node of a cluster.
    pub(crate) async fn node() -> Option<Self> {
        Self::with(&[
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            "--cluster-config-file",
            "nodes.conf",
        ])
        .await
    }

    /// A sentinel of one primary, which it alone declares dead.
    pub(crate) async fn sentinel(primary: u16) -> Option<Self> {
        let server = Self::spawn("redis-sentinel", free_port(), |port, folder| {
            let file = folder.join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\n\
                 sentinel monitor main 127.0.0.1 {primary} 1\n\
                 sentinel down-after-milliseconds main 1000\n\
                 sentinel failover-timeout main 10000\n"
            );
            std::fs::write(&file, text).unwrap();
            vec![file.display().to_string()]
        })?;
        server.is_up().await;
        Some(server)
    }

    fn spawn(
        program: &'static str,
        port: u16,
        arguments: impl FnOnce(&str, &Path) -> Vec<String>,
    ) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("bartizan-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut arguments = arguments(&port.to_string(), &folder);
        if program == "redis-server" {
            arguments.extend(
                [
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--enable-debug-command",
                    "yes",
                ]
                .map(str::to_owned),
            );
        }
        let child = run(program, &arguments, &folder)?;
        Some(Self {
            program,
            arguments,
            child,
            port,
            folder,
        })
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, on the same port.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.child = run(self.program, &self.arguments, &self.folder).unwrap();
        self.is_up().await;
    }

    /// Stops the process; what it is sent waits.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets the process go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        // The shell has its own `kill`; not every machine has the program.
        let command = format!("kill {signal} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(status.success(), "{command}");
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A connection that is not the crate's own.
    pub(crate) async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://{}/", self.address()))?;
        client.get_multiplexed_async_connection().await
    }

    /// Runs a command on a connection that is not the crate's own.
    pub(crate) async fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.connect().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    }

    async fn is_up(&self) {
        until(async || {
            let Ok(mut connection) = self.connect().await else {
                return false;
            };
            let ping = redis::cmd("PING");
            let answer: redis::RedisResult<String> = ping.query_async(&mut connection).await;
            answer.is_ok_and(|it| it == "PONG")
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(program: &'static str, arguments: &[String], folder: &Path) -> Option<Child> {
    let spawned = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match spawned {
        Ok(child) => Some(child),
        Err(error) => {
            let required = std::env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some_and(|it| it == "1");
            assert!(
                !required,
                "{program} is required, and cannot be started: {error}"
            );
            println!("skipped: {program} is not there ({error})");
            None
        }
    }
}

/// A port that nobody listens on; for a cluster, its bus port ten thousand above is free too.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let bus = port.checked_add(10_000);
        if bus.is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
            return port;
        }
    }
}

/// The longest that anything may take here that is not what a test is about.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
