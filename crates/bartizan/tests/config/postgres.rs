//! A PostgreSQL of our own, in a folder of its own.

use std::env;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server that ends with the test, and its folder with it.
pub(crate) struct Postgres {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Postgres {
    /// `None` if there is no such program.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let programs = programs()?;
        let folder = format!("bartizan-config-{name}-{}", std::process::id());
        let folder = env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let user = other_user();
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(&folder);
            command.arg("-D").arg(folder.join("data"));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((user, group)) = user {
                command.uid(user).gid(group);
            }
            command
        };
        if let Some((user, group)) = user {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let made = command("initdb")
            .args(["--auth=trust", "--username=orders", "--no-sync"])
            .status()
            .unwrap();
        assert!(made.success());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = command("postgres")
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .spawn()
            .unwrap();
        Some(Self {
            child,
            folder,
            port,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://orders@127.0.0.1:{}/postgres", self.port)
    }
}

#[expect(clippy::print_stdout, reason = "whoever runs the test is to know")]
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.into_iter().flatten();
    let mut folders: Vec<_> = versions.map(|it| it.unwrap().path().join("bin")).collect();
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
