//! A command line: to be shown, and run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Context as _;

use crate::workspace::cargo;

/// A program with its arguments, variables and folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    program: OsString,
    shown: String,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, String)>,
    folder: PathBuf,
}

impl Command {
    /// The cargo that runs this tool.
    #[must_use]
    pub fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Self::new("cargo").args(arguments);
        command.program = cargo();
        command
    }

    /// Cargo of another toolchain.
    #[must_use]
    pub fn cargo_of<S: AsRef<OsStr>>(
        toolchain: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::new("rustup")
            .args(["run", toolchain, "cargo"])
            .args(arguments)
    }

    /// Any program.
    #[must_use]
    pub fn new(program: &str) -> Self {
        Self {
            program: program.into(),
            shown: program.to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            folder: PathBuf::new(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        let arguments = arguments.into_iter().map(|it| it.as_ref().to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Runs it in a folder below the root instead of the root.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Runs it, with what it prints going where this tool's goes.
    ///
    /// # Errors
    ///
    /// It could not be started, or failed.
    pub fn run(&self, root: &Path) -> anyhow::Result<()> {
        let status = self
            .process(root)
            .status()
            .with_context(|| format!("start `{self}`"))?;
        anyhow::ensure!(status.success(), "`{self}` failed: {status}");
        Ok(())
    }

    /// Runs it and gives what it printed.
    ///
    /// # Errors
    ///
    /// It could not be started, failed, or printed something that is no text.
    pub fn output(&self, root: &Path) -> anyhow::Result<String> {
        let output = self
            .process(root)
            .output()
            .with_context(|| format!("start `{self}`"))?;
        anyhow::ensure!(
            output.status.success(),
            "`{self}` failed: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).with_context(|| format!("`{self}` printed no text"))
    }

    fn process(&self, root: &Path) -> process::Command {
        let mut process = process::Command::new(&self.program);
        process
            .args(&self.arguments)
            .current_dir(root.join(&self.folder));
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_about_this_tool) {
                process.env_remove(name);
            }
        }
        process.envs(self.variables.iter().map(|(name, value)| (name, value)));
        process
    }
}

/// `cargo run` tells this tool about itself. Build scripts below would take that for news about
/// their own package, and build it again.
fn is_about_this_tool(variable: &str) -> bool {
    [
        "CARGO",
        "OUT_DIR",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
    ]
    .contains(&variable)
        || ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| variable.starts_with(prefix))
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(f, "{name}={value:?} ")?;
        }
        f.write_str(&self.shown)?;
        for argument in &self.arguments {
            write!(f, " {}", argument.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let command =
            Command::cargo(["doc", "--no-deps"]).with_variable("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            command.to_string(),
            "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps"
        );
        let command = Command::cargo_of("nightly", ["fuzz"]);
        assert_eq!(command.to_string(), "rustup run nightly cargo fuzz");
    }

    #[test]
    fn what_cargo_says_of_this_tool_is_not_passed_on() {
        for variable in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO"] {
            assert!(is_about_this_tool(variable), "{variable}");
        }
        for variable in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_INCREMENTAL",
            "PATH",
        ] {
            assert!(!is_about_this_tool(variable), "{variable}");
        }
    }
}
