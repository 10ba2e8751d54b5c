//! Runs the gateway that a file describes, until it is told to stop.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    let file = file.context("usage: gateway FILE")?;
    let config = gateway::Config::read(&file)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let listening = |at: gateway::Listening| eprintln!("gateway on {}", at.requests);
    gateway::run(config, listening, stop).await
}
