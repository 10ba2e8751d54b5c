//! How many packages a user of each crate gets, with default features. Exits with an error past its bounds.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench prints, and may panic"
)]

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};

/// What a dependency on each crate brings into a lock file today: one more has to be decided on.
const AT_MOST: [(&str, usize); 14] = [
    ("bartizan-core", 11),
    ("bartizan", 12),
    ("bartizan-source", 15),
    ("bartizan-telemetry", 16),
    ("bartizan-authz", 21),
    ("bartizan-ratelimit", 21),
    ("bartizan-apikey", 33),
    ("bartizan-encrypt", 34),
    ("bartizan-audit", 38),
    ("bartizan-attack", 38),
    ("bartizan-mtls", 48),
    ("bartizan-jwt", 55),
    ("bartizan-testkit", 86),
    ("bartizan-cli", 180),
];

/// The names and versions of all packages that are built for this one, itself included.
fn packages(package: &str) -> usize {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .output()
        .expect("cargo runs");
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).expect("cargo prints text");
    // A package that was listed before is marked `(*)`; the name and version are what counts.
    let packages: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
        .collect();
    packages.len()
}

fn main() -> ExitCode {
    println!("\n### Packages in the default tree, the crate itself included\n");
    println!("| crate | packages | at most |\n|---|---:|---:|");
    let mut good = true;
    for (package, at_most) in AT_MOST {
        let packages = packages(package);
        println!("| {package} | {packages} | {at_most} |");
        good &= packages <= at_most;
    }
    if good {
        ExitCode::SUCCESS
    } else {
        println!("\na crate is heavier than its bound");
        ExitCode::FAILURE
    }
}
