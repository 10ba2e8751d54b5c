//! payments: a gRPC service that one workload may call, on behalf of users.
//!
//! Who calls must prove two things: that it is the workload `orders` (its certificate), and that
//! it acts for somebody who may pay (the token it passes on).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bartizan_core::{Rejection, RejectionKind, SecurityRequest as _, SpiffePattern, TrustDomain};
use bartizan_jwt::{JwtConfig, JwtLayer, Roots, Rules};
use bartizan_mtls::{MaterialFiles, MtlsLayer, MtlsListener};
use bartizan_ratelimit::{Key, Policy, Rate, RateLimitConfig, RateLimitLayer};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::proto::payments_server::{Payments, PaymentsServer};
use crate::proto::{ChargeReply, ChargeRequest};

/// What `proto/payments.proto` describes.
#[expect(
    clippy::missing_errors_doc,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod proto {
    include!("generated/payments.rs");
}

/// Where payments finds what it needs; each is a flag and an environment variable.
#[derive(Clone, Debug, clap::Parser)]
pub struct Config {
    /// Where to listen.
    #[arg(long, env = "PAYMENTS_LISTEN", default_value = "127.0.0.1:8444")]
    pub listen: SocketAddr,
    /// Our certificate chain, PEM.
    #[arg(
        long,
        env = "PAYMENTS_CERTIFICATE",
        default_value = "target/demo/payments.pem"
    )]
    pub certificate: PathBuf,
    /// Our private key, PEM.
    #[arg(
        long,
        env = "PAYMENTS_KEY",
        default_value = "target/demo/payments-key.pem"
    )]
    pub key: PathBuf,
    /// Our trust domain.
    #[arg(long, env = "PAYMENTS_TRUST_DOMAIN", default_value = "example.org")]
    pub trust_domain: TrustDomain,
    /// The certificate authorities of our trust domain, PEM.
    #[arg(long, env = "PAYMENTS_BUNDLE", default_value = "target/demo/ca.pem")]
    pub bundle: PathBuf,
    /// The workloads that may call.
    #[arg(
        long,
        env = "PAYMENTS_CALLERS",
        default_value = "spiffe://example.org/orders"
    )]
    pub callers: SpiffePattern,
    /// Who issues the users' tokens.
    #[arg(
        long,
        env = "PAYMENTS_ISSUER",
        default_value = "https://127.0.0.1:8445"
    )]
    pub issuer: String,
    /// The certificate authorities behind the issuer, PEM. For an issuer on the public web, give
    /// `Roots::public_web()` in `run` instead.
    #[arg(
        long,
        env = "PAYMENTS_ISSUER_BUNDLE",
        default_value = "target/demo/ca.pem"
    )]
    pub issuer_bundle: PathBuf,
}

/// Serves until it fails; calls `listening` once requests are accepted.
///
/// # Errors
///
/// If the configuration does not hold, or the server stops.
pub async fn run(config: Config, listening: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    // Our identity and whom we trust, read again whenever the files change.
    let material = MaterialFiles::new(&config.certificate, &config.key)
        .with_bundle(config.trust_domain, &config.bundle)
        .load()?;
    let listener = MtlsListener::builder(material.published())
        .bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;

    let callers = MtlsLayer::builder().allow_peer(config.callers).build()?;
    let rules = Rules::builder(&config.issuer, "payments").build()?;
    let roots = Roots::from_pem(&std::fs::read(config.issuer_bundle)?)?;
    let tokens = JwtConfig::builder(rules).with_roots(roots).build()?;
    let tokens = JwtLayer::load(tokens).await?;

    // How often one workload may ask, for all its users together.
    let rate = Rate::per_second(50).with_burst(100);
    let limits = RateLimitConfig::builder(Key::peer()).add_policy(Policy::new("workload", rate));
    let limits = RateLimitLayer::new(limits.build()?);

    listening(listener.local_addr());
    Server::builder()
        // The first layer is the outermost: who is calling, how often, then for whom.
        .layer(callers)
        .layer(limits)
        .layer(tokens)
        .add_service(PaymentsServer::new(Till::default()))
        .serve_with_incoming(listener)
        .await?;
    Ok(())
}

/// Counts the payments it takes.
#[derive(Debug, Default)]
struct Till {
    payments: AtomicU64,
}

#[tonic::async_trait]
impl Payments for Till {
    async fn charge(
        &self,
        request: Request<ChargeRequest>,
    ) -> Result<Response<ChargeReply>, Status> {
        let payer = request.security_principal()?;
        if !payer.has_scope("payments:charge") {
            return Err(Rejection::new(RejectionKind::Forbidden, MISSING_SCOPE).into());
        }
        let payer = payer.subject().to_owned();
        let number = self.payments.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Response::new(ChargeReply {
            payment: format!("pay-{number}"),
            payer,
        }))
    }
}

/// The token does not cover payments.
const MISSING_SCOPE: bartizan_core::Code = bartizan_core::Code::new("payments.missing_scope");
