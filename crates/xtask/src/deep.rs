//! What needs tools or hours: run by hand, and before a release.

use std::env;
use std::path::Path;

use anyhow::Context as _;

use crate::command::Command;
use crate::coverage;
use crate::packed;
use crate::run::{Action, Step};
use crate::workspace::Workspace;

/// Where the copy with minimal versions is, below the root.
const MINIMAL: &str = "target/deep/minimal";

/// Where what nightly rustdoc says goes, for people and for machines.
pub const FACES: &str = "target/deep/docsrs";

/// Names the commit that the public items are compared with, instead of the last release.
const BASELINE: &str = "BARTIZAN_BASELINE";

/// What the image of examples/orders/deploy is built for.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// What to do about a tool that is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missing {
    /// Install it.
    Install,
    /// Skip its step and say so.
    Skip,
}

/// Plans the steps for what is installed here.
#[derive(Debug)]
struct Planner<'a> {
    workspace: &'a Workspace,
    missing: Missing,
}

/// The steps for this workspace on this machine.
#[must_use]
pub fn steps(workspace: &Workspace, missing: Missing) -> Vec<Step> {
    let planner = Planner { workspace, missing };
    let step = |name, action| Step { name, action };
    vec![
        step("deny", planner.deny()),
        step("semver", planner.semver()),
        step("msrv", planner.msrv()),
        step("minimal", planner.minimal_versions()),
        step("types", planner.external_types()),
        step("docsrs", planner.docs_rs()),
        step("package", planner.package()),
        step("unpacked", planner.unpacked()),
        step("static", planner.static_binary()),
        step("loom", planner.loom()),
        step("miri", planner.miri()),
        step("attacks", planner.attacks()),
        step("fleet", planner.fleet()),
        step("soak", planner.soak()),
        step("coverage", planner.coverage()),
        step("mutants", planner.mutants()),
        step("fuzz", planner.fuzz()),
    ]
}

impl Planner<'_> {
    fn deny(&self) -> Action {
        let check = ["deny", "--all-features", "check", "--config", ".deny.toml"];
        self.with_tool("deny", "cargo-deny", vec![Command::cargo(check)])
    }

    /// Compares with the last release, or with the commit that is named. Before the first release
    /// nothing is promised, and there is nothing to compare with unless a commit is named.
    fn semver(&self) -> Action {
        let tag = Command::new("git").args(["describe", "--tags", "--abbrev=0", "--match", "v*"]);
        let Ok(baseline) = env::var(BASELINE).or_else(|_| self.answer(&tag)) else {
            let why = "there is no release to compare with, and no commit in ";
            return Action::Skip(format!("{why}{BASELINE}"));
        };
        let check = Command::cargo(["semver-checks", "--baseline-rev", baseline.trim()]);
        let commands = vec![self.on_published(check)];
        self.with_tool("semver-checks", "cargo-semver-checks", commands)
    }

    fn msrv(&self) -> Action {
        let Some(version) = &self.workspace.rust_version else {
            return Action::Fail("no package states its Rust version".to_owned());
        };
        let check = [
            "check",
            "--all-features",
            "--target-dir",
            "target/deep/msrv",
        ];
        let commands = vec![self.on_published(Command::cargo_of(version, check))];
        self.with_toolchain(version, Action::Commands(commands))
    }

    fn minimal_versions(&self) -> Action {
        let lock = ["generate-lockfile", "-Zdirect-minimal-versions"];
        // Beside the copy, which is made anew each time.
        let check = [
            "check",
            "--locked",
            "--all-features",
            "--target-dir",
            "../oldest",
        ];
        let check = Command::cargo(check);
        let commands = vec![
            Command::cargo_of("nightly", lock).in_folder(MINIMAL),
            self.on_published(check).in_folder(MINIMAL),
        ];
        self.with_toolchain("nightly", Action::Prepared(copy_workspace, commands))
    }

    /// Whose types public items show, held against the list in each manifest.
    fn external_types(&self) -> Action {
        let describe = ["doc", "--lib", "--no-deps", "--all-features"];
        let describe = Command::cargo_of("nightly", describe)
            .args(["--target-dir", FACES])
            .with_variable("RUSTDOCFLAGS", "-Zunstable-options --output-format json");
        let judge = Command::cargo(["run", "--quiet", "--package", "xtask", "--", "types"]);
        let libraries = self.workspace.published().filter(|it| it.has_library);
        let describe = libraries.fold(describe, |it, member| it.args(["--package", &member.name]));
        let commands = vec![describe, judge];
        self.with_toolchain("nightly", Action::Commands(commands))
    }

    fn docs_rs(&self) -> Action {
        let doc = ["doc", "--no-deps", "--all-features", "--target-dir", FACES];
        let doc = Command::cargo_of("nightly", doc)
            .with_variable("RUSTDOCFLAGS", "--cfg docsrs -D warnings");
        let commands = vec![self.on_published(doc)];
        self.with_toolchain("nightly", Action::Commands(commands))
    }

    /// Packs everything that is published, and builds each package from what is in it.
    fn package(&self) -> Action {
        Action::Commands(vec![packed::pack(self.workspace)])
    }

    /// Runs the tests that are in the packages, beside nothing else of this repository.
    fn unpacked(&self) -> Action {
        let test = Command::cargo(["test", "--workspace", "--all-features"]);
        let test = test.in_folder(packed::folder());
        Action::Prepared(packed::make_workspace, vec![test])
    }

    /// The binary of orders as its image has it: with nothing that it would have to find there. It
    /// has no loader then, which `readelf` would name as its interpreter. Needs a C compiler for musl.
    fn static_binary(&self) -> Action {
        let folder = "target/deep/static";
        let build = ["build", "--package", "orders", "--target", STATIC];
        let build = Command::cargo(build).args(["--target-dir", folder]);
        let check =
            format!("! readelf --program-headers {folder}/{STATIC}/debug/orders | grep INTERP");
        let commands = vec![build, Command::new("sh").args(["-c".to_owned(), check])];
        let installed = Command::new("rustup").args(["target", "list", "--installed"]);
        let present = self
            .answer(&installed)
            .is_ok_and(|list| list.contains(STATIC));
        let install = Command::new("rustup").args(["target", "add", STATIC]);
        let what = format!("the target {STATIC}");
        self.given(present, install, &what, Action::Commands(commands))
    }

    /// Tries every order in which threads can meet, on the source that is shipped: the unit tests
    /// in rooms called `model`.
    fn loom(&self) -> Action {
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
    fn miri(&self) -> Action {
        match self.workspace.root.join("Cargo.toml").as_path() {
            manifest if forbids_unsafe(manifest) => {
                Action::Skip("no crate has `unsafe`, which the workspace forbids".to_owned())
            }
            _ => Action::Fail("`unsafe` is not forbidden any more: run Miri here".to_owned()),
        }
    }

    /// Every named attack on every example, over its own socket: half a minute each.
    fn attacks(&self) -> Action {
        let test = ["test", "--workspace", "--", "--ignored"];
        Action::Commands(vec![Command::cargo(test).args(["no_attack_gets_in"])])
    }

    /// Fleets that share limits through a real server, for minutes.
    fn fleet(&self) -> Action {
        let test = ["test", "--package", "bartizan-ratelimit", "--features"];
        let minutes = ["redis", "--test", "redis", "--", "--ignored", "--nocapture"];
        let test = Command::cargo(test).args(minutes);
        Action::Commands(vec![test.with_variable("BARTIZAN_REQUIRE_SERVERS", "1")])
    }

    /// A whole service under load and faults, and every request reconciled with its ledger.
    fn soak(&self) -> Action {
        let run = ["run", "--release", "--package", "soak", "--", "--minutes"];
        Action::Commands(vec![Command::cargo(run).args(["10"])])
    }

    /// Measures each library by its own tests, and holds it against its bounds.
    fn coverage(&self) -> Action {
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
    fn mutants(&self) -> Action {
        let mutants = Command::cargo(["mutants", "--output", "target/deep"]);
        self.with_tool("mutants", "cargo-mutants", vec![mutants])
    }

    /// Runs each target for a minute, and writes down that it did.
    fn fuzz(&self) -> Action {
        let run = ["run", "--quiet", "--package", "xtask", "--", "fuzz"];
        let action = self.with_tool("fuzz", "cargo-fuzz", vec![Command::cargo(run)]);
        self.with_toolchain("nightly", action)
    }

    /// `command` on every published package.
    fn on_published(&self, command: Command) -> Command {
        self.workspace.published().fold(command, |command, member| {
            command.args(["--package", &member.name])
        })
    }

    /// The commands, if cargo knows the subcommand or may be given it.
    fn with_tool(&self, subcommand: &str, package: &str, commands: Vec<Command>) -> Action {
        let present = self.answer(&Command::cargo([subcommand, "--version"]));
        let install = Command::cargo(["install", "--locked", package]);
        self.given(
            present.is_ok(),
            install,
            package,
            Action::Commands(commands),
        )
    }

    /// The action, if the toolchain is installed or may be.
    fn with_toolchain(&self, toolchain: &str, action: Action) -> Action {
        let present = self.answer(&Command::cargo_of(toolchain, ["--version"]));
        let install = ["toolchain", "install", toolchain, "--profile", "minimal"];
        let install = Command::new("rustup").args(install);
        let what = format!("the toolchain {toolchain}");
        self.given(present.is_ok(), install, &what, action)
    }

    fn given(&self, present: bool, install: Command, what: &str, action: Action) -> Action {
        match (present, self.missing, action) {
            (true, _, action) | (false, _, action @ (Action::Fail(_) | Action::Skip(_))) => action,
            (false, Missing::Skip, _) => {
                Action::Skip(format!("{what} is not installed; --install does that"))
            }
            (false, Missing::Install, Action::Commands(mut commands)) => {
                commands.insert(0, install);
                Action::Commands(commands)
            }
            (false, Missing::Install, Action::Prepared(prepare, mut commands)) => {
                commands.insert(0, install);
                Action::Prepared(prepare, commands)
            }
        }
    }

    fn answer(&self, command: &Command) -> anyhow::Result<String> {
        command.output(&self.workspace.root)
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

/// Copies the published packages, as far as git knows their files or would know them: the lock
/// file of the workspace is left alone, and what benches and examples ask for counts for nothing.
fn copy_workspace(root: &Path) -> anyhow::Result<()> {
    let copy = root.join(MINIMAL);
    if copy.exists() {
        std::fs::remove_dir_all(&copy).context("the last copy")?;
    }
    let workspace = Workspace::read()?;
    let published: Vec<&Path> = workspace
        .published()
        .map(|it| it.folder.as_path())
        .collect();
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let files = Command::new("git").args(list).output(root)?;
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (root.join(file), root.join(MINIMAL).join(file));
        let is_wanted = published
            .iter()
            .any(|folder| Path::new(file).starts_with(folder));
        // A deleted file is known to git until the deletion is committed.
        if !is_wanted || !from.is_file() {
            continue;
        }
        let folder = to.parent().context("a file is in a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::copy(&from, &to).with_context(|| format!("copy {file}"))?;
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).context("the manifest")?;
    std::fs::write(copy.join("Cargo.toml"), of_published(&manifest)).context("the manifest")
}

/// The manifest of the workspace, with no members but those in `crates`.
fn of_published(manifest: &str) -> String {
    let lines = manifest.lines().map(|line| match line {
        line if line.starts_with("members = ") => "members = [\"crates/*\"]",
        line => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(present: bool, missing: Missing) -> Action {
        let workspace = Workspace::default();
        let planner = Planner {
            workspace: &workspace,
            missing,
        };
        let commands = vec![Command::new("tool")];
        planner.given(
            present,
            Command::new("install"),
            "tool",
            Action::Commands(commands),
        )
    }

    fn check(action: &Action, expected: &[&str]) {
        let Action::Commands(commands) = action else {
            panic!("{action:?} runs commands");
        };
        let shown: Vec<String> = commands.iter().map(Command::to_string).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_copy_has_no_members_that_it_lacks() {
        let manifest = "[workspace]\nmembers = [\"crates/*\", \"benches\"]\nexclude = [\"fuzz\"]\n";
        let expected = "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"fuzz\"]\n";
        assert_eq!(of_published(manifest), expected);
    }

    #[test]
    fn a_tool_that_is_there_is_run() {
        check(&given(true, Missing::Skip), &["tool"]);
        check(&given(true, Missing::Install), &["tool"]);
    }

    #[test]
    fn packages_with_models_are_found_and_others_are_not() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(has_models(&crates.join("bartizan-audit/src")));
        assert!(!has_models(&crates.join("bartizan-testkit/src")));
    }

    #[test]
    fn a_tool_that_is_absent_is_skipped_or_installed_as_asked() {
        let skipped = given(false, Missing::Skip);
        assert!(
            matches!(&skipped, Action::Skip(why) if why.contains("tool")),
            "{skipped:?}"
        );
        check(&given(false, Missing::Install), &["install", "tool"]);
    }
}
