//! `cargo xtask`: one entry point for everything that judges this workspace.

use std::io::Write as _;
use std::process::ExitCode;

use xtask::coverage::Covered;
use xtask::deep::Missing;
use xtask::face::Face;
use xtask::fuzz::{self, Options};
use xtask::run::{AfterFailure, Step, run};
use xtask::tidy::{RULES, Tree, codes};
use xtask::workspace::Workspace;
use xtask::{ci, coverage, deep, face};

const HELP: &str = "\
cargo xtask ci [STEP...]                what every change must pass; stops at the first failure
cargo xtask deep [--install] [STEP...]  what needs tools or hours; skips tools that are absent
cargo xtask tidy                        the rules over the tree, without a test build
cargo xtask codes                       the stable codes with the places that make them
cargo xtask coverage [PACKAGE...]       a table of lines that tests run; `deep coverage` measures
cargo xtask fuzz [--cmin] [--seconds N] [TARGET...]
                                        looks for inputs that break a parser, and keeps account of
                                        the time; --cmin packs what was found into fuzz/corpora
cargo xtask types                       whose types public items show; `deep types` asks rustdoc

`ci --list` and `deep --list` name their steps.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments = arguments.iter().map(String::as_str);
    let task = arguments.next();
    match perform(task, arguments.collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Performs a task and tells whether what it judged is good.
fn perform(task: Option<&str>, rest: Vec<&str>) -> anyhow::Result<bool> {
    match task {
        Some("ci") => {
            let workspace = Workspace::read()?;
            judge(&workspace, ci::steps(&workspace), &rest, AfterFailure::Stop)
        }
        Some("deep") => {
            let workspace = Workspace::read()?;
            let missing = if rest.contains(&"--install") {
                Missing::Install
            } else {
                Missing::Skip
            };
            let rest: Vec<&str> = rest.into_iter().filter(|it| *it != "--install").collect();
            let steps = deep::steps(&workspace, missing);
            judge(&workspace, steps, &rest, AfterFailure::GoOn)
        }
        Some("tidy") if rest.is_empty() => tidy(),
        Some("codes") if rest.is_empty() => list_codes(),
        Some("coverage") => judge_coverage(&rest),
        Some("fuzz") => fuzz::run(&Workspace::read()?.root, &Options::read(&rest)?),
        Some("types") if rest.is_empty() => types(),
        _ => {
            eprint!("{HELP}");
            Ok(matches!(task, Some("help" | "--help" | "-h")))
        }
    }
}

/// Runs the steps that are named, or all.
fn judge(
    workspace: &Workspace,
    steps: Vec<Step>,
    names: &[&str],
    after_failure: AfterFailure,
) -> anyhow::Result<bool> {
    let known: Vec<&str> = steps.iter().map(|step| step.name).collect();
    if names.contains(&"--list") {
        writeln!(std::io::stdout(), "{}", known.join("\n"))?;
        return Ok(true);
    }
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        anyhow::bail!("there is no step {unknown}; there are {}", known.join(", "));
    }
    let chosen: Vec<Step> = steps
        .into_iter()
        .filter(|step| names.is_empty() || names.contains(&step.name))
        .collect();
    Ok(run(&workspace.root, &chosen, after_failure).passed())
}

fn tidy() -> anyhow::Result<bool> {
    let tree = Tree::read()?;
    let mut tidy = true;
    for (name, rule) in RULES {
        for violation in rule(&tree)? {
            tidy = false;
            writeln!(std::io::stdout(), "{name}: {violation}")?;
        }
    }
    Ok(tidy)
}

/// Judges what `deep coverage` measured of the packages that are named, or of all.
fn judge_coverage(names: &[&str]) -> anyhow::Result<bool> {
    let tree = Tree::read()?;
    let root = &tree.workspace.root;
    let mut all = Vec::new();
    for member in coverage::measured(&tree.workspace) {
        if names.is_empty() || names.contains(&member.name.as_str()) {
            all.push(Covered::read(root, &member.name, &tree.sources)?);
        }
    }
    anyhow::ensure!(!all.is_empty(), "none of these is measured");
    let mut out = std::io::stdout();
    writeln!(out, "{}", coverage::table(&all))?;
    for file in all.iter().flat_map(Covered::files_below) {
        writeln!(out, "{file}")?;
    }
    Ok(all.iter().all(Covered::is_enough))
}

/// Judges what `deep types` had rustdoc write.
fn types() -> anyhow::Result<bool> {
    let workspace = Workspace::read()?;
    let mut as_listed = true;
    for member in workspace.published().filter(|it| it.has_library) {
        let json = face::written(&workspace.root.join(deep::FACES), &member.name)?;
        for violation in Face::read(&json)?.check(&member.name, &member.shows) {
            as_listed = false;
            writeln!(std::io::stdout(), "types: {violation}")?;
        }
    }
    Ok(as_listed)
}

fn list_codes() -> anyhow::Result<bool> {
    for (code, places) in codes::in_sources(&Tree::read()?.sources) {
        writeln!(std::io::stdout(), "{code:32} {}", places.join(" "))?;
    }
    Ok(true)
}
