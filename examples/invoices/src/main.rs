//! Runs invoices by the file that is named, or by `invoices.toml`.

use std::env;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = env::args_os().nth(1).map(PathBuf::from);
    let file = file.unwrap_or_else(|| "invoices.toml".into());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let listening = |address| eprintln!("invoices on {address}");
    invoices::run(&file, listening, stop).await
}
