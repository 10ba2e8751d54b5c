//! What is done by hand to ledgers: repaired, pruned, witnessed; people forgotten.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bartizan::audit::{Ledger, LedgerBuilder};
use bartizan::core::{Event, LifecycleEvent, LifecycleKind, Observe};
use bartizan_testkit::DevelopmentCa;
use serde_json::Value;

use crate::support::Folder;

const ORIGIN: &str = "orders.example/audit";

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err))
    }
}

fn run(arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
    command.arg("audit").args(arguments);
    command
        .env_remove("BARTIZAN_AUDIT")
        .env_remove("BARTIZAN_KEYS");
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn builder(folder: &Path) -> LedgerBuilder {
    let builder = Ledger::builder(folder, ORIGIN).with_segment_bytes(128 * 1024);
    builder.with_spare_segments(0)
}

/// Writes so many records about the service itself.
fn fill(ledger: &Ledger, count: usize) {
    let observer = bartizan::audit::AuditObserver::new(ledger.clone());
    let detail = "x".repeat(900);
    for _ in 0..count {
        let code = bartizan::core::Code::new("test.filled");
        let event = LifecycleEvent::new("test", LifecycleKind::PolicyChanged, code);
        observer.observe(&Event::Lifecycle(event.with_detail(&detail)));
    }
}

fn end(ledger: Ledger) {
    assert!(ledger.shutdown_blocking(Duration::from_secs(10)).complete);
}

#[test]
fn a_torn_end_is_told_and_repaired_only_when_asked() {
    let folder = Folder::new("recover");
    let path = folder.path("ledger");
    let ledger = text(&path);
    end(builder(&path).open().unwrap());
    assert_eq!(run(&["--ledger", ledger, "recover"]).code, Some(0));

    // As a crash leaves it: a run without an end, and half a record behind it.
    let segment = path.join("000000000000.segment");
    let whole = std::fs::read(&segment).unwrap();
    let mut torn = whole.clone();
    torn.extend([60, 0, 0, 0, 7, 7, 7]);
    std::fs::write(&segment, &torn).unwrap();
    let said = run(&["--json", "--ledger", ledger, "recover"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    let told = said.json();
    assert_eq!(
        (&told["torn_bytes"], &told["entries"]),
        (&7.into(), &2.into())
    );
    assert_eq!(
        std::fs::read(&segment).unwrap(),
        torn,
        "nothing was changed"
    );

    let said = run(&["--ledger", ledger, "recover", "--yes"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("repaired"), "{}", said.out);
    assert_eq!(run(&["--ledger", ledger, "verify"]).code, Some(0));
    assert_eq!(
        std::fs::read(path.join("000000000000.segment.torn"))
            .unwrap()
            .len(),
        7
    );

    // What no crash leaves behind is not repaired.
    std::fs::remove_file(path.join("000000000001.segment")).unwrap();
    let said = run(&["--ledger", ledger, "recover", "--yes"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.out.contains("TAMPERED"), "{}", said.out);
    assert_eq!(run(&["recover"]).code, Some(3), "no ledger");
}

#[test]
fn old_entries_are_pruned_and_proven_as_before() {
    let folder = Folder::new("prune");
    let path = folder.path("ledger");
    let name = text(&path);
    let ledger = builder(&path).open().unwrap();
    fill(&ledger, 400);
    let running = run(&["--ledger", name, "prune", "--before", "100", "--yes"]);
    assert_eq!(running.code, Some(1), "{}", running.out);
    assert!(running.err.contains("running"), "{}", running.err);
    end(ledger);
    let before = run(&["--ledger", name, "consistency", "50", "300"]).out;
    let kept = folder.path("kept");
    let checkpoint = run(&["--ledger", name, "checkpoint"]);
    std::fs::write(&kept, &checkpoint.out).unwrap();
    assert_eq!(
        run(&["--ledger", name, "prune", "--before", "200"]).code,
        Some(1),
        "no --yes"
    );

    let said = run(&[
        "--json", "--ledger", name, "prune", "--before", "200", "--yes",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let gone = said.json()["entries"].as_u64().unwrap();
    assert!(gone > 50 && gone <= 200, "{gone}");
    assert!(!path.join("000000000000.segment").exists());
    assert_eq!(
        run(&["--ledger", name, "consistency", "50", "300"]).out,
        before
    );
    let arguments = [
        "--json",
        "--ledger",
        name,
        "verify",
        "--checkpoint",
        text(&kept),
    ];
    let verified = run(&arguments);
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    assert_eq!(verified.json()["pruned"], gone);
    let young = ["--ledger", name, "prune", "--older-than-days", "1", "--yes"];
    assert!(run(&young).out.contains("nothing to prune"));
    let size = ["--ledger", name, "prune", "--keep-bytes", "1", "--yes"];
    assert!(run(&size).out.contains("are gone"));
    assert_eq!(run(&["--ledger", name, "verify"]).code, Some(0));
}

#[test]
fn a_person_is_forgotten_and_the_log_stays_whole() {
    let folder = Folder::new("erase");
    let made = folder.keys(&["init", "--new-kek"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let scope = ["--tenant", "https://issuer.example", "--subject", "alice"];
    let made = folder.keys(&[&["rotate"], &scope[..]].concat());
    assert_eq!(made.code, Some(0), "{}", made.err);
    let path = folder.path("ledger");
    end(builder(&path).open().unwrap());
    let (keys, kek) = (folder.path("keys.json"), folder.path("kek.key"));
    let mut arguments = vec!["--ledger", text(&path), "erase", "--keys", text(&keys)];
    arguments.extend(["--kek-file", text(&kek)]);
    arguments.extend(scope);
    assert_eq!(run(&arguments).code, Some(1), "no --yes");
    arguments.push("--yes");
    let said = run(&arguments);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let found = run(&["--ledger", text(&path), "grep", "\"erased\""]);
    assert_eq!(found.out.lines().count(), 1, "{}", found.out);
    assert_eq!(run(&["--ledger", text(&path), "verify"]).code, Some(0));
    let listed = folder.json(&["status"]);
    assert_eq!(listed["keys"]["destroyed"], 1, "{listed}");
}

/// A witness that is stopped at the end.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_ledger_is_witnessed_over_mutual_tls_and_cannot_be_cut_any_more() {
    let folder = Folder::new("witness");
    let ca = DevelopmentCa::new("example.org").unwrap();
    let place = folder.path("");
    ca.write_pem(&place, "ca").unwrap();
    for name in ["orders", "payments", "stranger"] {
        let issued = ca.workload(&format!("/{name}")).unwrap();
        issued.write_pem(&place, name).unwrap();
    }
    let file = |name: &str| text(&folder.path(name)).to_owned();
    let path = folder.path("ledger");
    end(builder(&path).open().unwrap());

    let key = file("witness.key");
    let made = run(&[
        "witness",
        "key",
        "--name",
        "payments.example/witness",
        "--out",
        &key,
    ]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let public = made.out.trim().to_owned();
    assert_eq!(
        run(&["witness", "public", "--key", &key]).out.trim(),
        public
    );
    let again = run(&["witness", "key", "--name", "x", "--out", &key]);
    assert_eq!(again.code, Some(1), "never written over");

    let bundle = format!("example.org={}", file("ca.pem"));
    let vkey = std::fs::read_to_string(path.join("log.vkey")).unwrap();
    let log = format!("{}=spiffe://example.org/orders", vkey.trim_end());
    let state = file("state");
    let mut child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args([
            "--json",
            "audit",
            "witness",
            "serve",
            "--listen",
            "127.0.0.1:0",
        ])
        .args([
            "--state", &state, "--key", &key, "--log", &log, "--bundle", &bundle,
        ])
        .args([
            "--certificate",
            &file("payments.pem"),
            "--private-key",
            &file("payments-key.pem"),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let served = Served(child);
    let mut about = String::new();
    while !about.ends_with("}\n") {
        assert!(out.read_line(&mut about).unwrap() > 0, "{about}");
    }
    let about: Value = serde_json::from_str(&about).unwrap();
    let url = format!("https://{}/witness", about["listening"].as_str().unwrap());

    let submit = |who: &str, server: &str| {
        let (certificate, private) = (file(&format!("{who}.pem")), file(&format!("{who}-key.pem")));
        run(&[
            "--json",
            "--ledger",
            text(&path),
            "witness",
            "submit",
            "--url",
            &url,
            "--server",
            server,
            "--witness",
            &public,
            "--bundle",
            &bundle,
            "--certificate",
            &certificate,
            "--private-key",
            &private,
        ])
    };
    let stranger = submit("stranger", "spiffe://example.org/payments");
    assert_eq!(stranger.code, Some(1), "{}", stranger.out);
    let elsewhere = submit("orders", "spiffe://example.org/customers");
    assert_eq!(elsewhere.code, Some(1), "{}", elsewhere.out);
    let said = submit("orders", "spiffe://example.org/payments");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(said.json()["size"], 2);
    drop(served);

    let verify = |more: &[&str]| {
        let all = [
            &["--ledger", text(&path), "verify", "--witness", &public],
            more,
        ]
        .concat();
        run(&all)
    };
    assert_eq!(verify(&["--witnessed-within", "600"]).code, Some(0));
    let shown = run(&["--ledger", text(&path), "checkpoint", "--cosigned"]);
    assert!(
        shown.out.contains("payments.example/witness"),
        "{}",
        shown.out
    );
    // Somebody cuts the ledger, and takes away what would tell.
    let held = run(&[
        "witness", "show", "--state", &state, "--key", &key, "--log", &log, "--origin", ORIGIN,
    ]);
    assert_eq!(held.code, Some(0), "{}", held.err);
    let word = file("word");
    std::fs::write(&word, &held.out).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    let forged = Folder::new("witness-forged");
    let other = forged.path("ledger");
    end(builder(&other).open().unwrap());
    let cut = [
        "--ledger",
        text(&other),
        "verify",
        "--witness",
        &public,
        "--cosigned",
        &word,
    ];
    let told = run(&cut);
    assert_eq!(told.code, Some(1), "{}", told.out);
}
