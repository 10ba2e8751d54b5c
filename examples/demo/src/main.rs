//! Bartizan at work: real services, real clients, and what each request gets.
//!
//! `cargo run --release -p demo` makes a development CA, starts a token issuer and the example
//! services orders and payments on loopback, and sends them good requests and attacks. What each
//! row got is read from the wire; what it expects is a literal beside the request. It exits with
//! an error if any row deviates. `--serve` keeps everything running and prints commands to try.
#![expect(clippy::print_stdout, reason = "printing is what the demo is for")]

mod client;
mod rows;
mod scene;
mod serve;
mod table;
mod wire;

use std::process::ExitCode;

use clap::Parser as _;

use crate::scene::Scene;

/// Shows what Bartizan lets pass and what it refuses.
#[derive(Debug, clap::Parser)]
struct Options {
    /// Keep the services running, and print curl commands for them.
    #[arg(long)]
    serve: bool,
    /// Where to write certificates, keys and tokens.
    #[arg(long, default_value = "target/demo")]
    folder: std::path::PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let scene = Scene::set(&options.folder).await?;
    println!("{}", scene.describe());

    let deviations = table::show(rows::all(&scene)?).await;

    if options.serve {
        serve::wait(&scene).await?;
    }
    Ok(if deviations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
