//! Flags and environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_core::{IpNetwork, SpiffePattern, TrustDomain};

/// Where customers finds what it needs; each is a flag and an environment variable.
#[derive(Clone, Debug, clap::Parser)]
pub struct Config {
    /// Where to listen.
    #[arg(long, env = "CUSTOMERS_LISTEN", default_value = "127.0.0.1:8446")]
    pub listen: SocketAddr,
    /// The folder with `customers.pem`, `customers-key.pem`, the authorities `ca.pem`, their
    /// revocation list `crl.pem`, and the partner's authorities `partner.pem`.
    #[arg(long, env = "CUSTOMERS_PKI", default_value = "target/demo")]
    pub pki: PathBuf,
    /// How many seconds to wait between two looks at that folder.
    #[arg(long, env = "CUSTOMERS_LOOK_EVERY", default_value = "10", value_parser = seconds)]
    pub look_every: Duration,
    /// Our trust domain.
    #[arg(long, env = "CUSTOMERS_TRUST_DOMAIN", default_value = "example.org")]
    pub trust_domain: TrustDomain,
    /// The partner's trust domain.
    #[arg(long, env = "CUSTOMERS_PARTNER", default_value = "partner.example")]
    pub partner: TrustDomain,
    /// The workloads that may call, ours and the partner's.
    #[arg(
        long,
        env = "CUSTOMERS_CALLERS",
        value_delimiter = ',',
        default_value = "spiffe://example.org/web,spiffe://partner.example/billing"
    )]
    pub callers: Vec<SpiffePattern>,
    /// The proxy that may say which client stands behind it.
    #[arg(
        long,
        env = "CUSTOMERS_PROXY",
        default_value = "spiffe://example.org/edge"
    )]
    pub proxy: SpiffePattern,
    /// The networks from which it calls: what it says there of client addresses counts.
    #[arg(long, env = "CUSTOMERS_PROXY_NETWORKS", value_delimiter = ',')]
    pub proxy_networks: Vec<IpNetwork>,
    /// Who issues the users' tokens.
    #[arg(
        long,
        env = "CUSTOMERS_ISSUER",
        default_value = "https://127.0.0.1:8445"
    )]
    pub issuer: String,
    /// Scheme, host and port as clients know them: what their proofs of possession are made for.
    #[arg(
        long,
        env = "CUSTOMERS_ORIGIN",
        default_value = "https://localhost:8446"
    )]
    pub origin: String,
    /// The file with the data keys, wrapped. It is made if there is none.
    #[arg(
        long,
        env = "CUSTOMERS_KEYS",
        default_value = "target/demo/customers-keys.json"
    )]
    pub keys: PathBuf,
    /// The file with the key that wraps them: 32 bytes in base64, readable by its owner alone.
    #[arg(
        long,
        env = "CUSTOMERS_WRAPPING_KEY",
        default_value = "target/demo/customers.kek"
    )]
    pub wrapping_key: PathBuf,
    /// The folder of the audit log. It is made if there is none.
    #[arg(
        long,
        env = "CUSTOMERS_AUDIT",
        default_value = "target/demo/customers-audit"
    )]
    pub audit: PathBuf,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
