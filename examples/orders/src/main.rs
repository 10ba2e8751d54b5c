//! Runs orders until it is stopped.

use clap::Parser as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    orders::run(orders::Config::parse(), |address| {
        eprintln!("orders on {address}")
    })
    .await
}
