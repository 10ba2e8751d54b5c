//! What every change must pass, in the order in which it fails fastest.

use std::env;
use std::path::PathBuf;

use crate::command::Command;
use crate::matrix::{each_feature_alone, with_all_features};
use crate::packed::pack;
use crate::run::{Action, Step};
use crate::workspace::{Member, Workspace};

/// The benches whose bounds are counts, which no busy machine changes. Clippy sees the others, and
/// figures in time are nothing to pass or fail by.
const BOUNDS: [&str; 9] = [
    "bench",
    "--package",
    "bartizan-benches",
    "--bench",
    "allocations",
    "--bench",
    "stack",
    "--bench",
    "weight",
];

/// The steps for this workspace on this machine.
#[must_use]
pub fn steps(workspace: &Workspace) -> Vec<Step> {
    let nextest = Command::cargo(["nextest", "--version"])
        .output(&workspace.root)
        .is_ok();
    let vectors = env::var_os("BARTIZAN_VECTORS")
        .map_or_else(|| PathBuf::from("../shared/vectors"), PathBuf::from);
    plan(workspace, nextest, vectors)
}

fn plan(workspace: &Workspace, nextest: bool, vectors: PathBuf) -> Vec<Step> {
    let commands = |name, commands| Step {
        name,
        action: Action::Commands(commands),
    };
    vec![
        commands("fmt", fmt(workspace)),
        commands("package", package(workspace)),
        commands("clippy", clippy(workspace)),
        commands("test", vec![Command::cargo(["test", "--workspace"])]),
        commands("features", each_feature_alone(workspace)),
        commands("engines", engines(workspace, nextest)),
        commands(
            "docs",
            vec![
                Command::cargo(["doc", "--workspace", "--no-deps", "--all-features"])
                    .with_variable("RUSTDOCFLAGS", "-D warnings"),
            ],
        ),
        Step {
            name: "demo",
            action: needs(
                workspace,
                "demo",
                &["run", "--release", "--package", "demo"],
            ),
        },
        Step {
            name: "conformance",
            action: conformance(workspace, vectors),
        },
        Step {
            name: "benches",
            action: needs(workspace, "bartizan-benches", &BOUNDS),
        },
    ]
}

fn fmt(workspace: &Workspace) -> Vec<Command> {
    let mut commands = vec![Command::cargo(["fmt", "--all", "--check"])];
    // Fuzz targets are a workspace of their own.
    if workspace.root.join("fuzz/Cargo.toml").is_file() {
        commands.push(Command::cargo([
            "fmt",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--check",
        ]));
    }
    commands
}

/// Packs what is published, without building it: seconds, and most of what can be wrong.
fn package(workspace: &Workspace) -> Vec<Command> {
    let quickly = ["--no-verify", "--exclude-lockfile", "--allow-dirty"];
    vec![pack(workspace).args(quickly)]
}

fn clippy(workspace: &Workspace) -> Vec<Command> {
    let strict = ["--all-targets", "--", "-D", "warnings"];
    let all = on_all_features(Command::cargo(["clippy"]), with_all_features(workspace));
    vec![
        Command::cargo(["clippy", "--workspace"]).args(strict),
        all.args(strict),
    ]
}

/// The tests of packages that have features, all of them on. `cargo test --workspace` has run
/// those that have none.
fn engines(workspace: &Workspace, nextest: bool) -> Vec<Command> {
    let mut members = with_all_features(workspace);
    if !nextest {
        return vec![on_all_features(Command::cargo(["test"]), members)];
    }
    let run = Command::cargo(["nextest", "run", "--no-tests", "pass"]);
    let run = on_all_features(run, members.clone());
    members.retain(|member| member.has_library);
    vec![
        run,
        on_all_features(Command::cargo(["test", "--doc"]), members),
    ]
}

/// One command on these packages with all their features: package by package, what they depend on
/// would be built anew for most of them. That each stands on its own features is shown by those
/// alone.
fn on_all_features(command: Command, members: Vec<&Member>) -> Command {
    let packages = members.into_iter().fold(command, |command, member| {
        command.args(["--package", &member.name])
    });
    packages.args(["--all-features"])
}

fn conformance(workspace: &Workspace, vectors: PathBuf) -> Action {
    if !workspace.root.join(&vectors).is_dir() {
        return Action::Skip(format!(
            "no folder {}; name one in BARTIZAN_VECTORS",
            vectors.display()
        ));
    }
    let run = ["run", "--package", "conformance", "--"];
    match needs(workspace, "conformance", &run) {
        Action::Commands(commands) => {
            Action::Commands(commands.into_iter().map(|it| it.args([&vectors])).collect())
        }
        missing => missing,
    }
}

/// A cargo command on a package that has to be there.
fn needs(workspace: &Workspace, package: &str, arguments: &[&str]) -> Action {
    if workspace.member(package).is_some() {
        Action::Commands(vec![Command::cargo(arguments)])
    } else {
        Action::Fail(format!("the workspace has no package {package}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        let member = |name: &str, features: &[&str]| Member {
            name: name.to_owned(),
            features: features.iter().map(|it| (*it).to_owned()).collect(),
            has_library: true,
            ..Member::default()
        };
        Workspace {
            root: env!("CARGO_MANIFEST_DIR").into(),
            members: vec![
                member("bartizan-core", &["axum", "tonic"]),
                member("bartizan-benches", &[]),
                member("conformance", &[]),
                member("demo", &[]),
            ],
            ..Workspace::default()
        }
    }

    fn shown(steps: &[Step], name: &str) -> String {
        let step = steps.iter().find(|step| step.name == name).unwrap();
        match &step.action {
            Action::Commands(commands) => {
                let shown: Vec<String> = commands.iter().map(Command::to_string).collect();
                shown.join("\n")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_steps_are_in_this_order() {
        let steps = plan(&workspace(), false, "src".into());
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        assert_eq!(
            names,
            [
                "fmt",
                "package",
                "clippy",
                "test",
                "features",
                "engines",
                "docs",
                "demo",
                "conformance",
                "benches"
            ]
        );
    }

    #[test]
    fn warnings_are_errors() {
        let steps = plan(&workspace(), false, "src".into());
        assert_eq!(
            shown(&steps, "clippy"),
            "cargo clippy --workspace --all-targets -- -D warnings\n\
             cargo clippy --package bartizan-core --all-features --all-targets -- -D warnings"
        );
        assert!(shown(&steps, "docs").starts_with("RUSTDOCFLAGS=\"-D warnings\""));
    }

    #[test]
    fn nextest_is_used_where_it_is_and_doctests_are_not_lost() {
        let check = |nextest, expected: &str| {
            let steps = plan(&workspace(), nextest, "src".into());
            assert_eq!(shown(&steps, "engines"), expected);
        };
        check(false, "cargo test --package bartizan-core --all-features");
        check(
            true,
            "cargo nextest run --no-tests pass --package bartizan-core --all-features\n\
             cargo test --doc --package bartizan-core --all-features",
        );
    }

    #[test]
    fn absent_vectors_are_skipped_and_present_ones_are_run() {
        let steps = plan(&workspace(), false, "no/such/folder".into());
        assert!(shown(&steps, "conformance").starts_with("Skip"));
        let steps = plan(&workspace(), false, "src".into());
        assert_eq!(
            shown(&steps, "conformance"),
            "cargo run --package conformance -- src"
        );
    }

    #[test]
    fn an_absent_demo_is_a_failure() {
        let mut workspace = workspace();
        workspace.members.retain(|member| member.name != "demo");
        let steps = plan(&workspace, false, "src".into());
        assert!(shown(&steps, "demo").starts_with("Fail"));
    }
}
