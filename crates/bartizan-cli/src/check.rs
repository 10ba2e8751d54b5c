//! `bartizan check`: what a configuration file says, before a service is given it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bartizan::config::{Config, ConfigError, Effective, Reload, reference, schema};
use clap::Args;
use serde_json::{Value, json};

/// Check a configuration file, and print what it puts in force
///
/// Reads the file and those that it names: certificates, keys, rules and secrets. No connection is
/// made unless asked for, and no audit log is opened. Exit codes: 0 it can be built; 1 it cannot,
/// or there are warnings and --strict; 2 the command cannot be understood.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The file: TOML, or YAML if it is called .yaml or .yml
    #[arg(required_unless_present_any = ["schema", "reference"])]
    file: Option<PathBuf>,
    /// Print what a reload changes against this file as it was before, and what needs a restart
    #[arg(long, value_name = "OLD", requires = "file")]
    diff: Option<PathBuf>,
    /// Read the file alone, and none that it names but those of secrets
    #[arg(long)]
    alone: bool,
    /// Also fetch the keys of the issuers
    #[arg(long, conflicts_with = "alone")]
    online: bool,
    /// Fail if there are warnings
    #[arg(long)]
    strict: bool,
    /// Print the JSON Schema of the file, for editors
    #[arg(long, conflicts_with_all = ["file", "reference"])]
    schema: bool,
    /// Print the documentation of every option, as Markdown
    #[arg(long, conflicts_with = "file")]
    reference: bool,
}

impl Check {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<ExitCode> {
        if self.schema || self.reference {
            let text = if self.schema { schema() } else { reference() };
            return print(&text).map(|()| ExitCode::SUCCESS);
        }
        let Some(file) = &self.file else {
            anyhow::bail!("name a file");
        };
        let checked = self.check(file);
        let text = match (&checked, json) {
            (Ok(found), true) => format!("{:#}\n", found.json(file)),
            (Ok(found), false) => found.text(file),
            (Err(error), true) => format!("{:#}\n", refused(file, error)),
            (Err(error), false) => {
                // With standard error closed there is nobody to tell.
                let _ = writeln!(io::stderr(), "{error}");
                String::new()
            }
        };
        print(&text)?;
        let warned = |found: &Found| self.strict && !found.effective.warnings().is_empty();
        Ok(match checked {
            Ok(found) if !warned(&found) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    fn check(&self, file: &Path) -> Result<Found, ConfigError> {
        let config = Config::load(file)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let (Ok(runtime), false) = (runtime, self.alone) {
            let _inside = runtime.enter();
            config.check_files()?;
            if self.online {
                runtime.block_on(config.check_online())?;
            }
        }
        let diff = match &self.diff {
            Some(old) => Some(Reload::between(&Config::load(old)?, &config)),
            None => None,
        };
        Ok(Found {
            effective: config.effective(),
            diff,
        })
    }
}

/// What a good file says.
struct Found {
    effective: Effective,
    diff: Option<Reload>,
}

impl Found {
    /// Who asks for a difference has seen the rest.
    fn text(&self, file: &Path) -> String {
        let file = file.display();
        let Some(diff) = &self.diff else {
            return format!("{file} can be built.\n\n{}", self.effective);
        };
        let warnings = self.effective.warnings().iter();
        let warnings: String = warnings.map(|it| format!("warning: {it}\n")).collect();
        format!("{file} can be built.\n\n{warnings}difference: {diff}\n")
    }

    fn json(&self, file: &Path) -> Value {
        let entries = self.effective.entries().iter().map(|entry| {
            json!({
                "option": entry.path(),
                "value": entry.value(),
                "line": entry.line(),
                "default": entry.line().is_none(),
            })
        });
        let diff = self.diff.as_ref().map(
            |diff| json!({ "changed": diff.changed(), "needs_restart": diff.needs_restart() }),
        );
        json!({
            "file": file,
            "valid": true,
            "problems": [],
            "warnings": self.effective.warnings(),
            "options": entries.collect::<Vec<_>>(),
            "difference": diff,
        })
    }
}

fn refused(file: &Path, error: &ConfigError) -> Value {
    let problems = error.problems().iter().map(|problem| {
        json!({
            "line": problem.line(),
            "column": problem.column(),
            "option": problem.path(),
            "message": problem.message(),
        })
    });
    json!({
        "file": file,
        "valid": false,
        "problems": problems.collect::<Vec<_>>(),
    })
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
