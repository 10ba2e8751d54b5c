//! Runs published test vectors through the crates of the family, by their public API and with
//! each case's own clock, and says where the answers differ.
//!
//! `cargo run --release -p conformance -- FOLDER [--strict] [--details]` walks a folder of
//! vectors. It prints one line for each file, and below it what differs and what was left out.
//! The exit code is 0 if nothing differs, 1 if something does, 2 if the folder cannot be read.
//! `--strict` fails for files that nobody knows as well; `--details` lists deliberate differences
//! and what was answered where either answer is right.

mod bundles;
mod client_ip;
mod deliberate;
mod envoy_jwt_verify;
mod fields;
mod http_attacks;
mod jose_cookbook;
mod jwk;
mod jwt_cases;
mod material;
mod possession;
mod ratelimit_traces;
mod report;
mod spiffe_id;
mod spiffe_svid_cases;
mod structured_fields;
mod tally;
mod transparency;
mod walk;
mod wycheproof;
mod x509_limbo;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, io};

use crate::report::Report;

const USAGE: &str = "usage: conformance FOLDER [--strict] [--details]";

#[derive(Default)]
struct Arguments {
    folder: Option<PathBuf>,
    strict: bool,
    details: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // With standard error closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<bool> {
    let arguments = arguments()?;
    let folder = arguments.folder.ok_or_else(|| anyhow::anyhow!(USAGE))?;
    let report = Report::new(walk::walk(&folder)?);
    let mut out = io::stdout().lock();
    report.print(&mut out, arguments.details)?;
    Ok(report.passes(arguments.strict))
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut arguments = Arguments::default();
    for argument in env::args_os().skip(1) {
        match argument.to_str() {
            Some("--strict") => arguments.strict = true,
            Some("--details") => arguments.details = true,
            Some(flag) if flag.starts_with('-') => anyhow::bail!("unknown flag {flag}; {USAGE}"),
            _ if arguments.folder.is_some() => anyhow::bail!("more than one folder; {USAGE}"),
            _ => arguments.folder = Some(argument.into()),
        }
    }
    Ok(arguments)
}
