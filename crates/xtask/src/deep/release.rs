//! Steps that judge what is released: what it is made of, what it promises, and what is in it.

use std::env;

use super::Planner;
use super::oldest;
use crate::command::Command;
use crate::matrix::every_feature_alone;
use crate::packed;
use crate::run::Action;

/// Where what nightly rustdoc says goes, for people and for machines.
pub const FACES: &str = "target/deep/docsrs";

/// Names the commit that the public items are compared with, instead of the last release.
const BASELINE: &str = "BARTIZAN_BASELINE";

/// What the image of examples/orders/deploy is built for.
const STATIC: &str = "x86_64-unknown-linux-musl";

impl Planner<'_> {
    /// It finds `.deny.toml` by itself. The option that names it has stood behind `check` and before
    /// it, as versions went.
    pub(super) fn deny(&self) -> Action {
        let check = Command::cargo(["deny", "--all-features", "check"]);
        self.with_tool("deny", "cargo-deny", vec![check])
    }

    /// Compares with the last release, or with the commit that is named. Before the first release
    /// nothing is promised, and there is nothing to compare with unless a commit is named.
    pub(super) fn semver(&self) -> Action {
        let tag = Command::new("git").args(["describe", "--tags", "--abbrev=0", "--match", "v*"]);
        let Ok(baseline) = env::var(BASELINE).or_else(|_| self.answer(&tag)) else {
            let why = "there is no release to compare with, and no commit in ";
            return Action::Skip(format!("{why}{BASELINE}"));
        };
        let check = Command::cargo(["semver-checks", "--baseline-rev", baseline.trim()]);
        let commands = vec![self.on_published(check)];
        self.with_tool("semver-checks", "cargo-semver-checks", commands)
    }

    /// Each package with each of its features alone, also those of the facade, most of which
    /// hand on to another package's.
    pub(super) fn features(&self) -> Action {
        Action::Commands(every_feature_alone(self.workspace))
    }

    pub(super) fn msrv(&self) -> Action {
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

    pub(super) fn minimal_versions(&self) -> Action {
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
            Command::cargo_of("nightly", lock).in_folder(oldest::FOLDER),
            self.on_published(check).in_folder(oldest::FOLDER),
        ];
        self.with_toolchain(
            "nightly",
            Action::Prepared(oldest::copy_workspace, commands),
        )
    }

    /// Whose types public items show, held against the list in each manifest.
    pub(super) fn external_types(&self) -> Action {
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

    pub(super) fn docs_rs(&self) -> Action {
        let doc = ["doc", "--no-deps", "--all-features", "--target-dir", FACES];
        let doc = Command::cargo_of("nightly", doc)
            .with_variable("RUSTDOCFLAGS", "--cfg docsrs -D warnings");
        let commands = vec![self.on_published(doc)];
        self.with_toolchain("nightly", Action::Commands(commands))
    }

    /// Packs everything that is published, and builds each package from what is in it.
    pub(super) fn package(&self) -> Action {
        Action::Commands(vec![packed::pack(self.workspace)])
    }

    /// Runs the tests that are in the packages, beside nothing else of this repository.
    pub(super) fn unpacked(&self) -> Action {
        let test = Command::cargo(["test", "--workspace", "--all-features"]);
        let test = test.in_folder(packed::folder());
        Action::Prepared(packed::make_workspace, vec![test])
    }

    /// The binary of orders as its image has it: with nothing that it would have to find there. It
    /// has no loader then, which `readelf` would name as its interpreter. Needs a C compiler for musl.
    pub(super) fn static_binary(&self) -> Action {
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
}
