//! A PostgreSQL of our own, in a folder of its own.

use std::env;
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bartizan_apikey::{PostgresKeys, PostgresKeysBuilder};
use bartizan_testkit::DevelopmentCa;
use tokio_postgres::{Client, NoTls};

pub(crate) struct Postgres {
    pub(crate) ca: DevelopmentCa,
    port: u16,
    programs: PathBuf,
    // Ends before its folder does.
    running: Option<Running>,
    folder: Folder,
    user: Option<(u32, u32)>,
}

/// A program that is killed when the test ends, whichever way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Postgres {
    /// Makes a cluster and starts it; `None` if there is no such program.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        let programs = programs()?;
        let folder = format!("bartizan-apikey-{name}-{}", std::process::id());
        let folder = env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut postgres = Self {
            ca: DevelopmentCa::new("db.test").unwrap(),
            port: free.local_addr().unwrap().port(),
            programs,
            running: None,
            folder: Folder(folder),
            user: other_user(),
        };
        drop(free);
        postgres.own(&postgres.folder.0);
        let made = postgres
            .command("initdb")
            .args([
                "--auth=trust",
                "--username=orders",
                "--encoding=UTF8",
                "--no-sync",
                "-D",
            ])
            .arg(postgres.data())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success(), "{said}");
        let identity = postgres.ca.loopback_server().unwrap();
        for (file, pem) in [
            ("server.crt", identity.chain_pem()),
            ("server.key", identity.key_pem()),
        ] {
            let path = postgres.data().join(file);
            std::fs::write(&path, pem).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            postgres.own(&path);
        }
        postgres.run().await;
        Some(postgres)
    }

    /// Starts the server, after a crash as well.
    pub(crate) async fn run(&mut self) {
        let url = self.url();
        let start = || {
            self.command("postgres")
                .arg("-D")
                .arg(self.data())
                .args(["-p", &self.port.to_string(), "-c", "ssl=on"])
                .args([
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "unix_socket_directories=",
                ])
                .spawn()
                .unwrap()
        };
        let mut child = start();
        until("the database answers", async || {
            // After a crash it does not begin before the last process of the old one is gone.
            if child.try_wait().unwrap().is_some() {
                child = start();
            }
            tokio_postgres::connect(&url, NoTls).await.is_ok()
        })
        .await;
        self.running = Some(Running(child));
    }

    /// Kills the server.
    pub(crate) fn crash(&mut self) {
        self.running = None;
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://orders@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn keys(&self) -> PostgresKeysBuilder {
        PostgresKeys::builder(&self.url()).allow_plaintext_loopback()
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.folder.0);
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

/// Where the programs of PostgreSQL are. If they are nowhere, the test says so and is over; unless
/// `BARTIZAN_REQUIRE_SERVERS` is set, then it fails.
#[expect(clippy::print_stdout, reason = "whoever runs the test is to know")]
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut folders: Vec<_> = versions
        .map(|version| version.unwrap().path().join("bin"))
        .collect();
    folders.sort();
    folders.reverse();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let found = folders.into_iter().find(|it| it.join("initdb").is_file());
    if found.is_none() {
        let required = env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some_and(|it| it == "1");
        assert!(!required, "PostgreSQL is required and not installed");
        println!("PostgreSQL is not installed: nothing was tested");
    }
    found
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
