//! Runs customers until it is stopped.

use clap::Parser as _;
use customers::{Config, Records};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    customers::run(Config::parse(), Records::default(), |address| {
        eprintln!("customers on {address}");
    })
    .await
}
