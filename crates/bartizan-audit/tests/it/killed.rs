//! A real process, killed while it writes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use bartizan_audit::{AuditConfig, AuditLayer, Durability, Rule};
use bartizan_core::SecurityContext;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Folder, alice, get, ok, with_requests};

/// Says to the child which folder to write to.
const FOLDER: &str = "BARTIZAN_AUDIT_CHILD_FOLDER";

/// What the child does: answers requests whose records are durable, and says which, until it is
/// killed. By itself this test does nothing.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let ledger = bartizan_audit::Ledger::builder(folder, crate::support::ORIGIN)
        .with_segment_bytes(128 * 1024)
        .open()
        .unwrap();
    let rule = Rule::metadata()
        .allow_path()
        .with_durability(Durability::Durable);
    let config = AuditConfig::builder(ledger).add_rule(rule).build().unwrap();
    let service =
        AuditLayer::new(config).layer(service_fn(|request: Request<Full<Bytes>>| async move {
            let context = SecurityContext::of(request.extensions()).unwrap();
            context.set_principal(alice()).unwrap();
            ok("")
        }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for number in 0..u64::MAX {
        let request = get(&format!("/orders/{number}"));
        let response = runtime.block_on(service.clone().oneshot(request)).unwrap();
        assert_eq!(response.status(), 200);
        println!("answered {number}");
    }
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    let folder = Folder::new();
    let mut runs = 0;
    for round in 0..8_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "killed::child_that_writes_until_it_is_killed",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let answered = lines
            .map_while(Result::ok)
            .filter(|line| line.starts_with("answered"));
        let seen = answered.take(20 + 40 * round).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen, 20 + 40 * round);
        runs += 1;

        let ledger = folder.ledger();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let report = runtime.block_on(crate::support::end(&ledger, &folder));
        assert!(
            report.recovered.is_some(),
            "the run before did not end in order"
        );
        drop(ledger);
        with_requests(&folder, |requests| {
            let last = requests.iter().rev().map_while(|request| {
                request
                    .path
                    .unwrap()
                    .strip_prefix("/orders/")?
                    .parse::<usize>()
                    .ok()
            });
            let last: Vec<_> = last.take(seen + 1).collect();
            assert!(
                last.contains(&(seen - 1)),
                "round {round}: {seen} were answered, {last:?}"
            );
        });
    }
    assert_eq!(folder.verify().runs, 2 * runs);
}
