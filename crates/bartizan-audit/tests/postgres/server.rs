//! A PostgreSQL of our own, in a folder of its own.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bartizan_audit::{PostgresSink, PostgresSinkBuilder};
use bartizan_testkit::DevelopmentCa;
use tokio_postgres::{Client, NoTls};

use crate::process::{Running, free_port};
use crate::programs::{in_path, require};
use crate::support::Folder;
use crate::trouble::Server;

pub(crate) struct Postgres {
    pub(crate) port: u16,
    pub(crate) ca: DevelopmentCa,
    programs: PathBuf,
    // Ends before its folder does.
    running: Option<Running>,
    folder: Folder,
    user: Option<(u32, u32)>,
}

impl Postgres {
    /// Makes a cluster and starts it; `None` if there is no such program.
    pub(crate) async fn start() -> Option<Self> {
        let mut candidates: Vec<PathBuf> = match std::fs::read_dir("/usr/lib/postgresql") {
            Ok(versions) => versions
                .map(|version| version.unwrap().path().join("bin/initdb"))
                .collect(),
            Err(_) => Vec::new(),
        };
        candidates.sort();
        candidates.reverse();
        candidates.extend(in_path("initdb"));
        let programs = require("PostgreSQL", candidates)?;
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path()).unwrap();
        let mut postgres = Self {
            port: free_port(),
            ca: DevelopmentCa::new("db.test").unwrap(),
            programs: programs.parent().unwrap().to_owned(),
            folder,
            user: other_user(),
            running: None,
        };
        postgres.own(postgres.folder.path());
        let data = postgres.data();
        let made = postgres
            .command("initdb")
            .args(["--auth=trust", "--username=audit", "--encoding=UTF8"])
            .args(["--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let identity = postgres.ca.loopback_server().unwrap();
        for (file, pem) in [
            ("server.crt", identity.chain_pem()),
            ("server.key", identity.key_pem()),
        ] {
            let path = data.join(file);
            std::fs::write(&path, pem).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            postgres.own(&path);
        }
        postgres.run().await;
        Some(postgres)
    }

    pub(crate) fn url(&self, port: u16) -> String {
        format!("postgresql://audit@127.0.0.1:{port}/postgres")
    }

    pub(crate) fn builder(&self) -> PostgresSinkBuilder {
        PostgresSink::builder(&self.url(self.port)).allow_plaintext_loopback()
    }

    pub(crate) async fn client(&self) -> Client {
        let url = self.url(self.port);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Gives a file to whom the server runs as.
    fn own(&self, path: &Path) {
        if let Some((user, group)) = self.user {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }
}

impl Server for Postgres {
    type Sink = PostgresSink;

    const IS_EXACT: bool = true;

    fn port(&self) -> u16 {
        self.port
    }

    async fn run(&mut self) {
        let url = self.url(self.port);
        let start = || {
            self.command("postgres")
                .arg("-D")
                .arg(self.data())
                .args(["-p", &self.port.to_string()])
                .args(["-c", "listen_addresses=127.0.0.1"])
                .args(["-c", "unix_socket_directories="])
                // What a commit promises is not to hang on the server's default.
                .args(["-c", "synchronous_commit=off", "-c", "ssl=on"])
                .spawn()
                .unwrap()
        };
        let mut child = start();
        for _ in 0..1200 {
            // After a crash it does not begin before the last process of the old one is gone.
            if child.try_wait().unwrap().is_some() {
                child = start();
            }
            if tokio_postgres::connect(&url, NoTls).await.is_ok() {
                self.running = Some(Running(child));
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the database does not answer");
    }

    fn crash(&mut self) {
        self.running = None;
    }

    fn sink(&self, port: u16) -> PostgresSink {
        let builder = PostgresSink::builder(&self.url(port));
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

/// The server does not run as root: then it is the user that its package made, or nobody.
fn other_user() -> Option<(u32, u32)> {
    let own = Command::new("id").arg("-u").output().unwrap();
    if own.stdout.trim_ascii() != b"0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(name))?;
        let mut fields = line.split(':').skip(2);
        let mut number = || fields.next()?.parse().ok();
        Some((number()?, number()?))
    };
    find("postgres:").or_else(|| find("nobody:"))
}
