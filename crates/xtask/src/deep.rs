//! What needs tools or hours: run by hand, and before a release.

mod oldest;
mod proof;
mod release;

use crate::command::Command;
use crate::run::{Action, Step};
use crate::workspace::Workspace;

pub use self::release::FACES;

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
        step("features", planner.features()),
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
    fn a_tool_that_is_there_is_run() {
        check(&given(true, Missing::Skip), &["tool"]);
        check(&given(true, Missing::Install), &["tool"]);
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
