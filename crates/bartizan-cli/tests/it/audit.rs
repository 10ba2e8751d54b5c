use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use bartizan::audit::Ledger;

fn run(ledger: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["audit", "--ledger"])
        .arg(ledger)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_ledger_is_verified_proven_and_exported_and_a_change_is_found() {
    let folder = std::env::temp_dir().join(format!("bartizan-cli-audit-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let ledger = Ledger::builder(&folder, "orders.example/audit")
        .with_segment_bytes(128 * 1024)
        .open()
        .unwrap();
    let report = ledger.shutdown_blocking(Duration::from_secs(5));
    drop(ledger);
    assert_eq!(report.entries, 2);

    let verified = run(&folder, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));
    assert!(
        text(&verified).contains("intact: 2 entries"),
        "{}",
        text(&verified)
    );
    let key = folder.join("log.vkey");
    let key = key.to_str().unwrap();
    assert_eq!(
        run(&folder, &["verify", "--key", key]).status.code(),
        Some(0)
    );
    assert!(text(&run(&folder, &["prove", "1"])).starts_with("c2sp.org/tlog-proof@v1\nindex 1\n"));
    assert!(text(&run(&folder, &["consistency", "1", "2"])).starts_with("old 1 "));
    assert_eq!(text(&run(&folder, &["export"])).lines().count(), 2);
    assert_eq!(
        text(&run(&folder, &["grep", "\"start\""])).lines().count(),
        1
    );
    let cursor = folder.join("cursor");
    let tail = [
        "tail",
        "--format",
        "ocsf",
        "--cursor",
        cursor.to_str().unwrap(),
    ];
    assert_eq!(text(&run(&folder, &tail)).lines().count(), 2);
    assert_eq!(
        text(&run(&folder, &tail)).lines().count(),
        0,
        "the place is kept"
    );

    let segment = folder.join("000000000000.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let tampered = run(&folder, &["verify", "--key", key]);
    assert_eq!(tampered.status.code(), Some(1), "{}", text(&tampered));
    assert_eq!(
        run(&folder, &["verify", "--unknown"]).status.code(),
        Some(3)
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
