//! Runs payments until it is stopped.

use clap::Parser as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    payments::run(payments::Config::parse(), |address| {
        eprintln!("payments on {address}")
    })
    .await
}
