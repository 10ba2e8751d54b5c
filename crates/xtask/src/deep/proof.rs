//! Steps that try for longer than a change can wait.

use std::path::Path;

use super::Planner;
use crate::command::Command;
use crate::coverage;
use crate::run::Action;

/// The packages that are changed for `mutants`, with the features that show all of what is. The
/// second crypto library is not among them: it takes minutes to build, and changes no verdict.
const MUTATED: [(&str, &str); 3] = [
    ("bartizan-core", "axum,tonic"),
    ("bartizan-jwt", "axum,tonic"),
    (
        "bartizan-mtls",
        "axum,serve,spiffe-bundle,tonic,workload-api",
    ),
];

impl Planner<'_> {
    /// Tries every order in which threads can meet, on the source that is shipped: the unit tests
    /// in rooms called `model`.
    pub(super) fn loom(&self) -> Action {
        let root = &self.workspace.root;
        let test = ["test", "--lib", "--target-dir", "target/deep/loom"];
        let test = Command::cargo(test).with_variable("RUSTFLAGS", "--cfg bartizan_loom");
        let published = self.workspace.published();
        let modelled: Vec<_> = published
            .filter(|it| has_models(&root.join(&it.folder).join("src")))
            .collect();
        if modelled.is_empty() {
            return Action::Fail("no package has a model".to_owned());
        }
        let test = modelled
            .iter()
            .fold(test, |it, member| it.args(["--package", &member.name]));
        Action::Commands(vec![test.args(["model::"])])
    }

    /// Nothing of ours is for Miri to look at: what it finds takes `unsafe`.
    pub(super) fn miri(&self) -> Action {
        match self.workspace.root.join("Cargo.toml").as_path() {
            manifest if forbids_unsafe(manifest) => {
                Action::Skip("no crate has `unsafe`, which the workspace forbids".to_owned())
            }
            _ => Action::Fail("`unsafe` is not forbidden any more: run Miri here".to_owned()),
        }
    }

    /// Every named attack on every example, over its own socket: half a minute each.
    pub(super) fn attacks(&self) -> Action {
        let test = ["test", "--workspace", "--", "--ignored"];
        Action::Commands(vec![Command::cargo(test).args(["no_attack_gets_in"])])
    }

    /// Fleets that share limits through a real server, for minutes.
    pub(super) fn fleet(&self) -> Action {
        let test = ["test", "--package", "bartizan-ratelimit", "--features"];
        let minutes = ["redis", "--test", "redis", "--", "--ignored", "--nocapture"];
        let test = Command::cargo(test).args(minutes);
        Action::Commands(vec![test.with_variable("BARTIZAN_REQUIRE_SERVERS", "1")])
    }

    /// A whole service under load and faults, and every request reconciled with its ledger.
    pub(super) fn soak(&self) -> Action {
        let run = ["run", "--release", "--package", "soak", "--", "--minutes"];
        Action::Commands(vec![Command::cargo(run).args(["10"])])
    }

    /// Measures each library by its own tests, and holds it against its bounds.
    pub(super) fn coverage(&self) -> Action {
        let forget = ["llvm-cov", "clean", "--profraw-only"];
        let run = ["llvm-cov", "test", "--no-clean", "--all-features", "--lcov"];
        let judge = Command::cargo(["run", "--quiet", "--package", "xtask", "--", "coverage"]);
        let mut commands = vec![Command::new("mkdir").args(["-p", coverage::FOLDER])];
        for member in coverage::measured(self.workspace) {
            let to = format!("{}/{}.lcov", coverage::FOLDER, member.name);
            let run = Command::cargo(run).args(["--package", &member.name, "--output-path", &to]);
            commands.push(Command::cargo(forget));
            // Engines count, and without their servers their tests pass and run nothing.
            commands.push(run.with_variable("BARTIZAN_REQUIRE_SERVERS", "1"));
        }
        commands.push(judge);
        self.with_tool("llvm-cov", "cargo-llvm-cov", commands)
    }

    /// Changes what `.cargo/mutants.toml` names, one place after the other, and runs the tests of
    /// its package each time: hours.
    pub(super) fn mutants(&self) -> Action {
        let mutants = |(package, features)| {
            let to = format!("target/deep/mutants/{package}");
            let what = [
                "--package",
                package,
                "--features",
                features,
                "--output",
                &to,
            ];
            Command::cargo(["mutants"]).args(what)
        };
        let commands = MUTATED.into_iter().map(mutants).collect();
        self.with_tool("mutants", "cargo-mutants", commands)
    }

    /// Runs each target for a minute, and writes down that it did.
    pub(super) fn fuzz(&self) -> Action {
        let run = ["run", "--quiet", "--package", "xtask", "--", "fuzz"];
        let action = self.with_tool("fuzz", "cargo-fuzz", vec![Command::cargo(run)]);
        self.with_toolchain("nightly", action)
    }
}

/// Whether a folder of source has a room called `model`.
fn has_models(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .any(|path| path.ends_with("model.rs") || path.is_dir() && has_models(&path))
}

fn forbids_unsafe(manifest: &Path) -> bool {
    let manifest = std::fs::read_to_string(manifest).unwrap_or_default();
    manifest
        .lines()
        .any(|line| line == "unsafe_code = \"forbid\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a{b,c}d` as `abd` and `acd`.
    fn alternatives(glob: &str) -> Vec<String> {
        let Some((before, rest)) = glob.split_once('{') else {
            return vec![glob.to_owned()];
        };
        let (list, after) = rest.split_once('}').unwrap();
        let each = |word| alternatives(&format!("{before}{word}{after}"));
        list.split(',').flat_map(each).collect()
    }

    #[test]
    fn whatever_is_to_be_changed_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let config = std::fs::read_to_string(root.join(".cargo/mutants.toml")).unwrap();
        let globs = config.split('"').filter(|it| it.starts_with("crates/"));
        let mut seen = Vec::new();
        for glob in globs.flat_map(alternatives) {
            let path = glob.strip_suffix("/**/*.rs").unwrap_or(&glob);
            assert!(root.join(path).exists(), "{glob} names nothing");
            seen.push(glob);
        }
        assert!(seen.len() > 20, "{seen:?}");
        for (package, _) in MUTATED {
            let folder = format!("crates/{package}/");
            let is_named = seen.iter().any(|it| it.starts_with(&folder));
            assert!(is_named, "nothing of {package} is changed");
        }
    }

    #[test]
    fn packages_with_models_are_found_and_others_are_not() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(has_models(&crates.join("bartizan-audit/src")));
        assert!(!has_models(&crates.join("bartizan-testkit/src")));
    }
}
