//! The command line of Bartizan.
//!
//! Each group of commands is a file of its own. Results go to standard output, as text for people
//! or as one JSON document (`--json`); what went wrong goes to standard error. The exit code is 0
//! when it was done, 1 when it was refused or failed, 2 when the command cannot be understood (for
//! `audit`, which has more to say, 3; for `attack`, 3 when nothing is known). No
//! command prints a key, a passphrase or a value; but those that make an API key print that one.

mod apikey;
mod attack;
mod audit;
mod check;
mod kek;
mod keys;
mod output;
mod policy;
mod terminal;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::Output;

/// Security for services in Rust: the work that is done by hand.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Print one JSON document instead of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    group: Group,
}

#[derive(Debug, Subcommand)]
enum Group {
    /// API keys, in a file or a database: made, listed, rotated and revoked
    Apikey(Box<apikey::ApiKeys>),
    Attack(Box<attack::Attack>),
    /// The audit log of a service: verify it, prove entries, print them
    Audit(audit::Audit),
    Check(check::Check),
    /// Keys of field encryption, in a keyset file
    ///
    /// A keyset file belongs to one process at a time: stop the service that uses it before
    /// changing it here. It may be read at any time.
    Keys(keys::Keys),
    /// What a policy decides and why; policies from logs, and from and for other systems
    Policy(policy::PolicyCommand),
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused or failed; 2 not understood (audit: 3).";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    let print = |output: Output| output.print(arguments.json).map(|()| ExitCode::SUCCESS);
    let outcome = match arguments.group {
        Group::Apikey(keys) => keys.run(arguments.json),
        Group::Attack(attack) => attack.run(arguments.json),
        Group::Audit(audit) => audit.run(arguments.json),
        Group::Check(check) => check.run(arguments.json),
        Group::Keys(keys) => keys.run().and_then(print),
        Group::Policy(policy) => policy.run(arguments.json),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // With standard error closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "bartizan: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what was not understood, or what was asked for. For `audit` the code 2 has a meaning of its
/// own.
fn not_understood(error: &clap::Error) -> ExitCode {
    // With standard error closed there is nobody to tell.
    let _ = error.print();
    let audit = std::env::args_os().any(|argument| argument == "audit");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if audit => ExitCode::from(audit::USAGE),
        _ => ExitCode::from(2),
    }
}
