//! `bartizan policy`: what a policy decides, why, and where it comes from and goes.

mod exchange;
mod learn;
mod query;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bartizan::authz::{Effect, Explanation, Policy, Ruling};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::output::{Output, Text};
use crate::policy::exchange::{Export, Import};
use crate::policy::learn::Learn;
use crate::policy::query::Query;

#[derive(Args, Debug)]
pub(crate) struct PolicyCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Propose the policy that allows what an audit log has seen, and nothing else
    Learn(Learn),
    /// Say which rule decides a request, and what the others lack
    Explain(Box<Explain>),
    /// Hold a policy against a table of expected decisions
    Test {
        /// The policy
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// The table, as TOML (`[[case]]`) or YAML (`case:`)
        table: PathBuf,
    },
    /// Read a policy of another system, and print it as ours
    Import {
        #[command(subcommand)]
        from: Import,
    },
    /// Write a policy for another system
    Export(Box<Export>),
}

#[derive(Args, Debug)]
struct Explain {
    /// The policy
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    query: Query,
}

impl PolicyCommand {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<ExitCode> {
        let output = match &self.command {
            Command::Learn(learn) => learn.run()?,
            Command::Explain(explain) => {
                let policy = load(&explain.policy)?;
                explained(&explain.query.ask(|facts| policy.explain(facts))?)
            }
            Command::Test { policy, table } => return table::run(&load(policy)?, table, json),
            Command::Import { from } => from.run()?,
            Command::Export(export) => export.run()?,
        };
        output.print(json)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn load(path: &Path) -> anyhow::Result<Policy> {
    let policy = Policy::from_toml(&read(path)?);
    policy.with_context(|| format!("{} is no policy", path.display()))
}

/// A ruling in one word, and its rule.
fn told(ruling: &Ruling) -> (&'static str, Option<&str>) {
    match ruling {
        Ruling::Allowed(rule) => ("allow", Some(rule)),
        Ruling::Denied(rule) => ("deny", rule.as_deref()),
        Ruling::Unauthenticated => ("unauthenticated", None),
        _ => ("undecided", None),
    }
}

fn explained(explanation: &Explanation) -> Output {
    let (ruling, rule) = told(&explanation.ruling);
    let first = match (ruling, rule) {
        ("allow", Some(rule)) => format!("allowed by rule {rule:?}"),
        ("deny", Some(rule)) => format!("denied by rule {rule:?}"),
        ("unauthenticated", _) => "denied: no rule allows it without a principal".to_owned(),
        _ => "denied: no rule allows it".to_owned(),
    };
    let words = ["RULE", "EFFECT", "APPLIES", "LACKS"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    let mut rules: Vec<Value> = Vec::new();
    for tried in &explanation.rules {
        let effect = match (tried.effect, tried.shadow) {
            (Effect::Allow, _) => "allow",
            (Effect::Deny, false) => "deny",
            (Effect::Deny, true) => "deny (shadow)",
        };
        let applies = if tried.applies() { "yes" } else { "no" };
        let misses = tried.misses.join("; ");
        rows.push(vec![
            tried.rule.to_string(),
            effect.to_owned(),
            applies.to_owned(),
            misses,
        ]);
        rules.push(json!({
            "rule": &*tried.rule, "effect": if tried.effect == Effect::Allow { "allow" } else { "deny" },
            "shadow": tried.shadow, "applies": tried.applies(), "misses": tried.misses,
        }));
    }
    let mut lines = vec![first, String::new()];
    lines.extend(crate::output::table_lines(&rows));
    Output {
        text: Text::Lines(lines),
        json: json!({"ruling": ruling, "rule": rule, "rules": rules}),
    }
}
