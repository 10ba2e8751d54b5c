//! An rsyslog of our own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use bartizan_audit::{SyslogSink, SyslogSinkBuilder};
use bartizan_testkit::DevelopmentCa;
use tokio::net::TcpStream;

use crate::process::{Running, free_port};
use crate::programs::{in_path, require};
use crate::support::Folder;
use crate::trouble::Server;

pub(crate) struct Rsyslog {
    port: u16,
    pub(crate) ca: DevelopmentCa,
    program: PathBuf,
    // Ends before its folder does.
    running: Option<Running>,
    folder: Folder,
}

impl Rsyslog {
    /// Starts a receiver, which asks clients for a certificate; `None` if there is no such program.
    pub(crate) async fn start() -> Option<Self> {
        let mut candidates = in_path("rsyslogd");
        candidates.push("/usr/sbin/rsyslogd".into());
        let program = require("rsyslogd", candidates)?;
        let tls = [
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib",
        ];
        let tls = tls.map(|folder| PathBuf::from(folder).join("rsyslog/lmnsd_gtls.so"));
        require("rsyslog-gnutls", tls)?;
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path()).unwrap();
        let ca = DevelopmentCa::new("logs.test").unwrap();
        ca.write_pem(folder.path(), "ca").unwrap();
        let server = ca.loopback_server().unwrap();
        server.write_pem(folder.path(), "server").unwrap();
        let mut rsyslog = Self {
            port: free_port(),
            ca,
            program,
            running: None,
            folder,
        };
        rsyslog.configure();
        rsyslog.run().await;
        Some(rsyslog)
    }

    /// What it wrote, one line for what it took for one message.
    pub(crate) fn lines(&self) -> Vec<String> {
        let received = self.folder.path().join("received");
        let text = std::fs::read_to_string(received).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn builder(&self, port: u16) -> SyslogSinkBuilder {
        let ours = self.ca.workload("/orders").unwrap();
        SyslogSink::builder(&format!("127.0.0.1:{port}"))
            .with_root_pem(self.ca.certificate_pem().as_bytes())
            .with_identity_pem(ours.chain_pem().as_bytes(), ours.key_pem().as_bytes())
    }

    fn configure(&self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let (ca, certificate, key) = (path("ca.pem"), path("server.pem"), path("server-key.pem"));
        let (port, received, folder) = (self.port, path("received"), path("."));
        // A queue in memory would take what it holds along when it is killed; nobody could tell.
        let text = format!(
            r#"
global(
    workDirectory="{folder}"
    maxMessageSize="64k"
    defaultNetstreamDriver="gtls"
    defaultNetstreamDriverCAFile="{ca}"
    defaultNetstreamDriverCertFile="{certificate}"
    defaultNetstreamDriverKeyFile="{key}"
)
main_queue(queue.type="Direct")
module(
    load="imtcp"
    streamDriver.name="gtls"
    streamDriver.mode="1"
    streamDriver.authMode="x509/certvalid"
)
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="line" type="string" string="%rawmsg%\n")
action(type="omfile" file="{received}" template="line" asyncWriting="off")
"#
        );
        std::fs::write(path("rsyslog.conf"), text).unwrap();
    }
}

impl Server for Rsyslog {
    type Sink = SyslogSink;

    /// The protocol has nothing by which it could tell.
    const IS_EXACT: bool = false;

    fn port(&self) -> u16 {
        self.port
    }

    async fn run(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let start = || {
            let mut command = Command::new(&self.program);
            command.arg("-n").arg("-f").arg(path("rsyslog.conf"));
            command.arg("-i").arg(path("pid"));
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            Running(child.unwrap())
        };
        let _ = std::fs::remove_file(path("pid"));
        let mut running = start();
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                self.running = Some(running);
                return;
            }
            if running.0.try_wait().unwrap().is_some() {
                running = start();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("rsyslogd does not answer");
    }

    fn crash(&mut self) {
        self.running = None;
    }

    fn sink(&self, port: u16) -> SyslogSink {
        self.builder(port).build().unwrap()
    }

    async fn indexes(&mut self) -> Vec<u64> {
        let index = |line: &String| {
            let (_, rest) = line.split_once(" index=\"").unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        self.lines().iter().map(index).collect()
    }

    async fn clear(&mut self) {
        let received = self.folder.path().join("received");
        let file = std::fs::OpenOptions::new().write(true).open(received);
        file.unwrap().set_len(0).unwrap();
    }
}
