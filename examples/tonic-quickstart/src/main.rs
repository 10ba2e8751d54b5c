//! The smallest gRPC service with tokens, limits and rules over mutual TLS. `client` asks it.

mod stock;

use std::env;

use bartizan::authz::{Callers, Policy, Rule, Targets};
use bartizan::jwt::{Roots, Rules};
use bartizan::mtls::MaterialFiles;
use bartizan::prelude::*;
use bartizan::ratelimit::{Key, Policy as Limit, Rate};
use tonic::service::LayerExt as _;
use tonic::transport::Server;
use tonic_quickstart::proto::stock_server::StockServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Our certificate, our key and whom we trust: read again whenever the files change.
    let files = MaterialFiles::new("tls.pem", "tls-key.pem");
    let files = files.with_bundle("example.org".parse()?, "ca.pem").load()?;
    // Which workloads may call; a prober is one of them.
    let peers = MtlsLayer::builder().allow_trust_domain("example.org".parse()?);

    // Whose tokens: any OpenID Connect provider's. Its keys are found by its name, and kept fresh.
    let issuer = env::var("ISSUER").map_err(|_| "ISSUER is not set: whose tokens count?")?;
    let issuer = Rules::builder(&issuer, "orders").build()?;
    let mut tokens = JwtConfig::builder(issuer);
    if let Ok(file) = env::var("ISSUER_CA") {
        // Only for an issuer whose own certificate comes from a private authority.
        tokens = tokens.with_roots(Roots::from_pem(&std::fs::read(file)?)?);
    }
    // How often one workload may ask, for all its users together.
    let limit = Limit::new("workload", Rate::per_second(20).with_burst(100));
    let limit = RateLimitConfig::builder(Key::peer()).add_policy(limit);
    // Who may call what. What no rule allows is refused.
    let web = Callers::peer("spiffe://example.org/web".parse()?);
    let service = "shop.stock.v1.Stock";
    let look = Targets::grpc(service, "Level").or_grpc(service, Some("Watch"));
    let take = Targets::grpc(service, "Take");
    let policy = Policy::builder()
        .add(
            Rule::allow("look")
                .from(web.clone().scope("orders:read"))
                .to(look),
        )
        .add(Rule::allow("take").from(web.scope("orders:write")).to(take))
        .build()?;

    let stack = Stack::new()
        .with_peers(&peers.build()?)
        .with_peer_limit(&RateLimitLayer::new(limit.build()?))
        .with_tokens(&JwtLayer::load(tokens.build()?).await?)
        .with_rules(&AuthzLayer::builder().with_policy(policy).build()?);

    let (_reporter, health) = tonic_health::server::health_reporter();
    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8444".to_owned());
    let listener = MtlsListener::builder(files.published())
        .bind(address)
        .await?;
    eprintln!("listening on {}", listener.local_addr());
    Server::builder()
        // Each service has the layers that it is given: this one asks a prober for its
        // certificate, in the handshake, and for nothing else.
        .add_service(health)
        .add_service(stack.named_layer(StockServer::new(stock::Shelf::default())))
        .serve_with_incoming(listener)
        .await?;
    Ok(())
}
