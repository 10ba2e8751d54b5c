//! `bartizan apikey`, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::env;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A server that ends with the test, and its folder with it.
struct Postgres {
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
    fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = env::temp_dir().join(format!("bartizan-cli-postgres-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let user = other_user();
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command
                .current_dir(&folder)
                .arg("-D")
                .arg(folder.join("data"));
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

    fn run(&self, arguments: &[&str]) -> Output {
        let url = format!("postgresql://orders@127.0.0.1:{}/postgres", self.port);
        Command::new(env!("CARGO_BIN_EXE_bartizan"))
            .args(["--json", "apikey", "--postgres-env", "TEST_DATABASE"])
            .arg("--postgres-plaintext-loopback")
            .args(arguments)
            .env("TEST_DATABASE", url)
            .output()
            .unwrap()
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[expect(clippy::print_stdout, reason = "whoever runs the test is to know")]
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
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

#[test]
fn a_key_lives_its_life_in_a_database() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let mut tries = 0;
    // It refuses while it starts.
    while postgres.run(&["init"]).status.code() != Some(0) {
        tries += 1;
        assert!(tries < 600, "{:?}", postgres.run(&["init"]));
        std::thread::sleep(Duration::from_millis(100));
    }
    let create = [
        "create",
        "--subject",
        "reports",
        "--scope",
        "orders:read",
        "--expires-in",
        "90d",
    ];
    let made = postgres.done(&create);
    let id = made["id"].as_str().unwrap();
    assert!(made["key"].as_str().unwrap().starts_with("brt_live_"));
    let listed = postgres.done(&["list"]);
    assert_eq!(listed["keys"][0]["id"], id);
    assert_eq!(listed["keys"][0]["scopes"][0], "orders:read");

    let rotated = postgres.done(&["rotate", id, "--overlap", "2d"]);
    assert_eq!(rotated["replaces"], id);
    let again = postgres.run(&["rotate", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("was replaced by"));
    let next = rotated["id"].as_str().unwrap();
    postgres.done(&["revoke", next]);
    let listed = postgres.done(&["list", "--all"]);
    let states: Vec<_> = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["state"])
        .collect();
    assert_eq!(states.len(), 2);
    assert!(states.iter().any(|it| *it == "revoked") && states.iter().any(|it| *it == "live"));
    let unknown = postgres.run(&["revoke", "000000000000"]);
    assert_eq!(unknown.status.code(), Some(1));

    let elsewhere = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["apikey", "--postgres-env", "TEST_DATABASE", "list"])
        .env(
            "TEST_DATABASE",
            "postgresql://orders:hunter2@db.internal/orders",
        )
        .output()
        .unwrap();
    assert_eq!(
        elsewhere.status.code(),
        Some(1),
        "no plaintext, and no roots"
    );
    assert!(!String::from_utf8_lossy(&elsewhere.stderr).contains("hunter2"));
}
