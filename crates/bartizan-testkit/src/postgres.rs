//! A PostgreSQL server for a test, in a folder of its own.

use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::ca::DevelopmentCa;
use crate::error::TestkitError;

/// How often it is asked whether it answers, and how long that takes at most, all in all.
const PATIENCE: (Duration, u32) = (Duration::from_millis(50), 1200);

/// A real PostgreSQL on a free port of loopback: with a certificate, without passwords, and gone
/// with the value, its folder too.
///
/// The programs are looked for where Debian puts them, and in `PATH`.
///
/// ```no_run
/// use bartizan_testkit::PostgresServer;
///
/// # async fn run() -> Result<(), bartizan_testkit::TestkitError> {
/// let Some(server) = PostgresServer::start("orders", &[]).await? else {
///     return Ok(()); // It was said that nothing is tested.
/// };
/// assert!(server.url().starts_with("postgresql://orders@127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresServer {
    ca: DevelopmentCa,
    role: String,
    settings: Vec<String>,
    port: u16,
    programs: PathBuf,
    // Ends before its folder does.
    running: Option<Running>,
    folder: Folder,
    account: Option<(u32, u32)>,
}

/// A program that is killed when the test ends, whichever way.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that is gone with the test.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for PostgresServer {
    /// As after a crash, so that nothing of its shared memory is left in the system.
    fn drop(&mut self) {
        self.crash();
    }
}

impl PostgresServer {
    /// Makes a cluster whose superuser is `role`, and starts it with settings such as
    /// `synchronous_commit=off`.
    ///
    /// `None` if PostgreSQL is not installed, which is printed then.
    ///
    /// # Errors
    ///
    /// It could not be started; or it is not installed, and `BARTIZAN_REQUIRE_SERVERS` is `1` in
    /// the environment.
    pub async fn start(role: &str, settings: &[&str]) -> Result<Option<Self>, TestkitError> {
        let Some(programs) = programs()? else {
            return Ok(None);
        };
        let port = free_port().map_err(TestkitError::io("find a free port"))?;
        let name = format!("bartizan-postgres-{}-{port}", std::process::id());
        let mut server = Self {
            ca: DevelopmentCa::new("db.test")?,
            role: role.to_owned(),
            settings: settings.iter().map(|it| (*it).to_owned()).collect(),
            port,
            programs,
            running: None,
            folder: Folder(env::temp_dir().join(name)),
            account: account()?,
        };
        server.make_cluster()?;
        server.run().await?;
        Ok(Some(server))
    }

    /// Starts it again, after [`crash`](Self::crash).
    ///
    /// # Errors
    ///
    /// It could not be started, or does not answer within a minute.
    pub async fn run(&mut self) -> Result<(), TestkitError> {
        self.running = None;
        let mut running = self.spawn()?;
        let (pause, most) = PATIENCE;
        for _ in 0..most {
            // After a crash it does not begin before the last process of the old one is gone.
            let ended = running.0.try_wait().map_err(TestkitError::io("wait"))?;
            if ended.is_some() {
                running = self.spawn()?;
            }
            if self.answers()? {
                self.running = Some(running);
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
        Err(TestkitError::server("PostgreSQL does not answer"))
    }

    /// Ends it at once and returns when nobody is served any more, with nothing written that was
    /// not yet: its next start recovers.
    pub fn crash(&mut self) {
        // Whoever only kills the first process leaves those that serve the connections, which go
        // on until they notice.
        if self.running.is_some() {
            let _ = self
                .command("pg_ctl")
                .args(["stop", "--mode=immediate"])
                .status();
        }
        self.running = None;
    }

    /// Where it is, for whoever speaks to it without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The same behind another port, say of a proxy.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        format!("postgresql://{}@127.0.0.1:{port}/postgres", self.role)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The authority of its certificate.
    #[must_use]
    pub const fn ca(&self) -> &DevelopmentCa {
        &self.ca
    }

    fn make_cluster(&self) -> Result<(), TestkitError> {
        let folder = &self.folder.0;
        fs::create_dir_all(folder).map_err(TestkitError::io("make a folder"))?;
        self.own(folder)?;
        let made = self
            .command("initdb")
            .args(["--auth=trust", "--encoding=UTF8", "--no-sync", "--username"])
            .arg(&self.role)
            .stderr(Stdio::piped())
            .output()
            .map_err(TestkitError::io("run initdb"))?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(TestkitError::server(format!("initdb: {said}")));
        }
        let identity = self.ca.loopback_server()?;
        for (file, pem) in [
            ("server.crt", identity.chain_pem()),
            ("server.key", identity.key_pem()),
        ] {
            let path = self.data().join(file);
            fs::write(&path, pem).map_err(TestkitError::io("write the certificate"))?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))
                .map_err(TestkitError::io("protect the key"))?;
            self.own(&path)?;
        }
        Ok(())
    }

    fn spawn(&self) -> Result<Running, TestkitError> {
        let mut command = self.command("postgres");
        command.args(["-p", &self.port.to_string()]);
        let own = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "ssl=on",
        ];
        for setting in own
            .into_iter()
            .chain(self.settings.iter().map(String::as_str))
        {
            command.args(["-c", setting]);
        }
        let started = command.spawn().map_err(TestkitError::io("run postgres"))?;
        Ok(Running(started))
    }

    fn answers(&self) -> Result<bool, TestkitError> {
        let asked = Command::new(self.programs.join("pg_isready"))
            .args(["--quiet", "--host", "127.0.0.1", "--username", &self.role])
            .args(["--port", &self.port.to_string()])
            .status();
        Ok(asked.map_err(TestkitError::io("run pg_isready"))?.success())
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    /// A program of PostgreSQL on this cluster.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.folder.0);
        command.arg("-D").arg(self.data());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    /// Gives a file to whom the server runs as.
    fn own(&self, path: &Path) -> Result<(), TestkitError> {
        match self.account {
            Some((user, group)) => {
                chown(path, Some(user), Some(group)).map_err(TestkitError::io("give a file away"))
            }
            None => Ok(()),
        }
    }
}

/// A port of loopback that nobody has at this moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The folder of PostgreSQL's programs, of the newest version.
#[expect(clippy::print_stdout, reason = "whoever runs the test is to know")]
fn programs() -> Result<Option<PathBuf>, TestkitError> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    folders.sort();
    folders.reverse();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let found = folders.into_iter().find(|it| it.join("initdb").is_file());
    if found.is_none() {
        if env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some_and(|it| it == "1") {
            return Err(TestkitError::server(
                "PostgreSQL is required and not installed",
            ));
        }
        println!("PostgreSQL is not installed: nothing was tested");
    }
    Ok(found)
}

/// The server does not run as root: then it is the user that its package made, or nobody.
fn account() -> Result<Option<(u32, u32)>, TestkitError> {
    let own = Command::new("id").arg("-u").output();
    if own.map_err(TestkitError::io("run id"))?.stdout.trim_ascii() != b"0" {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(TestkitError::io("read /etc/passwd"))?;
    let find = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(name))?;
        let mut fields = line.split(':').skip(2);
        let mut number = || fields.next()?.parse().ok();
        Some((number()?, number()?))
    };
    Ok(find("postgres:").or_else(|| find("nobody:")))
}
