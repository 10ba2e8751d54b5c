//! `soak`, and the service that it starts.
#![expect(clippy::print_stdout, reason = "it prints its report")]

use std::process::ExitCode;

use clap::Parser;
use tokio::io::{AsyncReadExt as _, stdin};

/// Runs a whole service under load and faults, and reconciles every request with its ledger.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: soak::Options,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The service, until its input ends.
    #[command(hide = true)]
    Serve(soak::Config),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(Command::Serve(config)) = arguments.command {
        let listening = |address| println!("{address}");
        let stop = async {
            let _ = stdin().read(&mut [0]).await;
        };
        let farewell = soak::serve(config, listening, stop).await?;
        println!("{}", serde_json::to_string(&farewell)?);
        return Ok(ExitCode::SUCCESS);
    }
    let report = soak::soak(&arguments.options).await?;
    match arguments.options.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{report}"),
    }
    Ok(ExitCode::from(u8::from(!report.holds())))
}
