//! Runs customers until it is stopped.

use clap::Parser as _;
use customers::{Config, Records};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listening = |address| eprintln!("customers on {address}");
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    customers::run(Config::parse(), Records::default(), listening, stop).await
}
