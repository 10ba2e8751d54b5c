//! The service that tells workloads where others are.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;

use super::service::start;

const FILE: &str = r#"
listen = "127.0.0.1:0"
certificate = "registry.pem"
key = "registry-key.pem"
trust_domain = "example.org"
bundle = "ca.pem"
audit = "registry-audit"

[[service]]
name = "payments"
owner = "spiffe://example.org/payments"
readers = ["spiffe://example.org/orders"]
"#;

/// Starts it, and gives its address.
pub(super) async fn run(folder: &Path) -> anyhow::Result<SocketAddr> {
    let _ = std::fs::remove_dir_all(folder.join("registry-audit"));
    let file = folder.join("registry.toml");
    std::fs::write(&file, FILE)?;
    let config = registry::Config::read(&file)?;
    let address = start(|ready| registry::run(config, ready, std::future::pending()));
    address.await.context("registry did not start")
}
