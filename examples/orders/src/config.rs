//! Flags and environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;

use bartizan_core::{SpiffeId, SpiffePattern, TrustDomain};

/// Where orders finds what it needs; each is a flag and an environment variable.
#[derive(Clone, Debug, clap::Parser)]
pub struct Config {
    /// Where to listen.
    #[arg(long, env = "ORDERS_LISTEN", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Our certificate chain, PEM.
    #[arg(
        long,
        env = "ORDERS_CERTIFICATE",
        default_value = "target/demo/orders.pem"
    )]
    pub certificate: PathBuf,
    /// Our private key, PEM.
    #[arg(long, env = "ORDERS_KEY", default_value = "target/demo/orders-key.pem")]
    pub key: PathBuf,
    /// Our trust domain.
    #[arg(long, env = "ORDERS_TRUST_DOMAIN", default_value = "example.org")]
    pub trust_domain: TrustDomain,
    /// The certificate authorities of our trust domain, PEM.
    #[arg(long, env = "ORDERS_BUNDLE", default_value = "target/demo/ca.pem")]
    pub bundle: PathBuf,
    /// The workloads that may call.
    #[arg(
        long,
        env = "ORDERS_CALLERS",
        default_value = "spiffe://example.org/web"
    )]
    pub callers: SpiffePattern,
    /// Who issues the users' tokens.
    #[arg(long, env = "ORDERS_ISSUER", default_value = "https://127.0.0.1:8445")]
    pub issuer: String,
    /// The certificate authorities behind the issuer, PEM. For an issuer on the public web, give
    /// `Roots::public_web()` in `run` instead.
    #[arg(
        long,
        env = "ORDERS_ISSUER_BUNDLE",
        default_value = "target/demo/ca.pem"
    )]
    pub issuer_bundle: PathBuf,
    /// Where payments listens.
    #[arg(long, env = "ORDERS_PAYMENTS", default_value = "127.0.0.1:8444")]
    pub payments: SocketAddr,
    /// Who must answer there.
    #[arg(
        long,
        env = "ORDERS_PAYMENTS_ID",
        default_value = "spiffe://example.org/payments"
    )]
    pub payments_id: SpiffeId,
    /// The Redis or Valkey server through which copies of orders share their limits, as
    /// `host:port`. Without, each copy counts for itself.
    #[arg(long, env = "ORDERS_REDIS")]
    pub redis: Option<String>,
    /// The file with what all copies know and nobody else: 32 random bytes or more.
    #[arg(
        long,
        env = "ORDERS_FLEET_SECRET",
        default_value = "target/demo/fleet.secret"
    )]
    pub fleet_secret: PathBuf,
}
