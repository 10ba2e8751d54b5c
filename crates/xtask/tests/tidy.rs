//! The tree obeys the rules of the house. `cargo xtask tidy` shows the same, faster.

use anyhow::{Context as _, ensure};
use xtask::tidy::{RULES, Tree};

/// The rules that a test below names.
const OBEYED: [&str; 12] = [
    "directions",
    "dev-versions",
    "dev-use",
    "crypto",
    "rooms",
    "size",
    "lib.rs",
    "codes",
    "manifests",
    "banned",
    "clock",
    "pages",
];

fn obeyed(name: &str) -> anyhow::Result<()> {
    let rule = RULES.iter().find(|(rule, _)| *rule == name);
    let (_, rule) = rule.context("no such rule")?;
    let violations: Vec<String> = rule(&Tree::read()?)?
        .iter()
        .map(ToString::to_string)
        .collect();
    ensure!(
        violations.is_empty(),
        "the rule `{name}` is broken in {} places:\n{}",
        violations.len(),
        violations.join("\n")
    );
    Ok(())
}

#[test]
fn every_rule_has_its_test() {
    assert_eq!(RULES.map(|(name, _)| name), OBEYED);
}

#[test]
fn the_whole_tree_is_looked_at() -> anyhow::Result<()> {
    let tree = Tree::read()?;
    let core = tree.workspace.member("bartizan-core").context("the core")?;
    assert!(core.published);
    assert_eq!(core.folder.to_str(), Some("crates/bartizan-core"));
    assert!(tree.workspace.rust_version.is_some());
    for path in [
        "crates/bartizan-core/src/lib.rs",
        "crates/xtask/tests/tidy.rs",
        "examples/demo/src/main.rs",
    ] {
        assert!(tree.sources.iter().any(|it| it.path == path), "{path}");
    }
    Ok(())
}

#[test]
fn crates_name_only_what_lies_below_them() -> anyhow::Result<()> {
    obeyed("directions")
}

#[test]
fn family_dev_dependencies_have_no_version() -> anyhow::Result<()> {
    obeyed("dev-versions")
}

#[test]
fn family_dev_dependencies_are_used_from_tests_alone() -> anyhow::Result<()> {
    obeyed("dev-use")
}

#[test]
fn each_package_brings_one_crypto_library_and_the_core_few_packages() -> anyhow::Result<()> {
    obeyed("crypto")
}

#[test]
fn domain_rooms_know_neither_http_nor_tower() -> anyhow::Result<()> {
    obeyed("rooms")
}

#[test]
fn files_are_short() -> anyhow::Result<()> {
    obeyed("size")
}

#[test]
fn lib_rs_holds_docs_and_names_alone() -> anyhow::Result<()> {
    obeyed("lib.rs")
}

#[test]
fn the_list_of_codes_is_complete() -> anyhow::Result<()> {
    obeyed("codes")
}

#[test]
fn manifests_are_complete() -> anyhow::Result<()> {
    obeyed("manifests")
}

#[test]
fn nothing_is_unfinished_or_silenced_without_a_reason() -> anyhow::Result<()> {
    obeyed("banned")
}

#[test]
fn the_time_is_read_in_one_place() -> anyhow::Result<()> {
    obeyed("clock")
}

#[test]
fn the_documentation_names_what_is_there() -> anyhow::Result<()> {
    obeyed("pages")
}
