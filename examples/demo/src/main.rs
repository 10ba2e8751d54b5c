//! Bartizan at work: real services, real clients, and what each request gets.
//!
//! `cargo run --release -p demo` makes a development CA, starts a token issuer and the example
//! services orders and payments on loopback, and sends them good requests and attacks. What each
//! row got is read from the wire; what it expects is a literal beside the request. It exits with
//! an error if any row deviates. `--serve` keeps everything running and prints commands to try; it
//! leaves out what takes longest, the attacks of `bartizan-attack`.

mod client;
mod rows;
mod scene;
mod serve;
mod table;
mod wire;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

use crate::scene::Scene;

/// Shows what Bartizan lets pass and what it refuses.
#[derive(Debug, clap::Parser)]
struct Options {
    /// Keep the services running, and print commands for them.
    #[arg(long)]
    serve: bool,
    /// Where to write certificates, keys and tokens.
    #[arg(long, default_value = "target/demo")]
    folder: PathBuf,
    /// Where the issuer listens; any free port unless said, and 8445 with --serve.
    #[arg(long)]
    issuer_port: Option<u16>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    match run(options).await {
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        finished => finished,
    }
}

async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let port = options
        .issuer_port
        .unwrap_or(if options.serve { 8445 } else { 0 });
    let scene = Scene::set(&options.folder, port).await?;
    writeln!(io::stdout(), "{}", scene.describe())?;

    let deviations = table::show(rows::all(&scene, !options.serve)?).await?;

    if options.serve {
        serve::wait(&scene).await?;
    }
    Ok(if deviations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}
