//! The program as it is run: what it prints, and with which code it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A folder of vectors that is removed again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = env::temp_dir().join(format!("conformance-{}-{name}", std::process::id()));
        for (path, content) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(folder: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_conformance"))
        .arg(folder)
        .args(flags)
        .output()
        .unwrap();
    let mut printed = String::from_utf8(output.stdout).unwrap();
    printed.push_str(&String::from_utf8(output.stderr).unwrap());
    (output.status.code(), printed)
}

#[track_caller]
fn check(folder: &Folder, flags: &[&str], code: i32, says: &[&str]) {
    let (ended, printed) = run(&folder.0, flags);
    assert_eq!(ended, Some(code), "{printed}");
    for words in says {
        assert!(printed.contains(words), "{words} is not in:\n{printed}");
    }
}

const XFF: &str = "client-ip/xff.json";

fn xff(client: &str) -> String {
    format!(
        r#"[{{"peer": "10.0.0.1", "trusted_cidrs": ["10.0.0.0/8"], "trusted_hops": null,
        "x_forwarded_for": ["6.6.6.6, 1.2.3.4"], "client": "{client}", "note": "a spoofed one"}}]"#
    )
}

#[test]
fn agreement_ends_with_0() {
    let folder = Folder::new("agreement", &[(XFF, &xff("1.2.3.4"))]);
    check(&folder, &["--strict"], 0, &[XFF, "1 passed, 0 failed"]);
}

#[test]
fn a_wrong_expectation_ends_with_1_and_is_shown() {
    let folder = Folder::new("wrong", &[(XFF, &xff("6.6.6.6"))]);
    let shown = [
        "a spoofed one",
        "accepted as \"6.6.6.6\"",
        "accepted as \"1.2.3.4\"",
        "1 failed",
    ];
    check(&folder, &[], 1, &shown);
}

#[test]
fn a_known_file_that_cannot_be_read_ends_with_1() {
    let folder = Folder::new("broken", &[(XFF, "[{}]")]);
    check(&folder, &[], 1, &["broken", "peer is missing"]);
}

#[test]
fn an_unknown_file_ends_with_1_only_if_strict() {
    let files = [
        ("tea/pot.json", "{}"),
        ("tea/SOURCE.md", ""),
        ("tea/LICENSE", ""),
    ];
    let folder = Folder::new("unknown", &files);
    check(&folder, &[], 0, &["tea/pot.json", "unread", "1 unread"]);
    check(
        &folder,
        &["--strict"],
        1,
        &["tea/pot.json", "unread", "1 unread"],
    );
}

#[test]
fn a_folder_that_is_not_there_ends_with_2() {
    let (code, printed) = run(Path::new("/nowhere/to/be/found"), &[]);
    assert_eq!(code, Some(2), "{printed}");
}

/// The whole collection, where it is to be had.
#[test]
fn the_family_answers_as_the_vectors_expect() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder = env::var_os("BARTIZAN_VECTORS").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("no vectors in {}: nothing was compared", folder.display());
        return;
    }
    let (code, printed) = run(&folder, &[]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains(" passed, 0 failed"), "{printed}");
}
