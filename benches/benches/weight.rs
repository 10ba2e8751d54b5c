//! How many packages a user of each crate gets, with default features.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench prints, and may panic"
)]

use std::collections::BTreeSet;
use std::process::Command;

fn main() {
    println!("\n### Packages in the default tree, the crate itself included\n");
    println!("| crate | packages |\n|---|---:|");
    for package in [
        "bartizan-core",
        "bartizan-source",
        "bartizan-mtls",
        "bartizan-jwt",
        "bartizan-ratelimit",
        "bartizan-apikey",
    ] {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
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
        println!("| {package} | {} |", packages.len());
    }
}
