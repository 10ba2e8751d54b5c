//! `bartizan apikey`, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::process::{Command, Output};

use bartizan_testkit::PostgresServer;
use serde_json::Value;

/// The command, on the keys of a server that ends with the test.
struct Keys(PostgresServer);

impl Keys {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bartizan"))
            .args(["--json", "apikey", "--postgres-env", "TEST_DATABASE"])
            .arg("--postgres-plaintext-loopback")
            .args(arguments)
            .env("TEST_DATABASE", self.0.url())
            .output()
            .unwrap()
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[tokio::test]
async fn a_key_lives_its_life_in_a_database() {
    let server = PostgresServer::start("orders", &[]).await.unwrap();
    let Some(keys) = server.map(Keys) else {
        return;
    };
    assert_eq!(keys.run(&["init"]).status.code(), Some(0));
    let create = [
        "create",
        "--subject",
        "reports",
        "--scope",
        "orders:read",
        "--expires-in",
        "90d",
    ];
    let made = keys.done(&create);
    let id = made["id"].as_str().unwrap();
    assert!(made["key"].as_str().unwrap().starts_with("brt_live_"));
    let listed = keys.done(&["list"]);
    assert_eq!(listed["keys"][0]["id"], id);
    assert_eq!(listed["keys"][0]["scopes"][0], "orders:read");

    let rotated = keys.done(&["rotate", id, "--overlap", "2d"]);
    assert_eq!(rotated["replaces"], id);
    let again = keys.run(&["rotate", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("was replaced by"));
    let next = rotated["id"].as_str().unwrap();
    keys.done(&["revoke", next]);
    let listed = keys.done(&["list", "--all"]);
    let states: Vec<_> = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["state"])
        .collect();
    assert_eq!(states.len(), 2);
    assert!(states.iter().any(|it| *it == "revoked") && states.iter().any(|it| *it == "live"));
    let unknown = keys.run(&["revoke", "000000000000"]);
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
