//! The smallest service with tokens, limits and rules, over plain HTTP or over mutual TLS.

use std::env;

use axum::{Router, routing::get, routing::post};
use bartizan::authz::{Callers, Policy, Rule};
use bartizan::jwt::{Roots, Rules};
use bartizan::mtls::MaterialFiles;
use bartizan::prelude::*;
use bartizan::ratelimit::{Key, Policy as Limit, Rate};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Whose tokens: any OpenID Connect provider's. Its keys are found by its name, and kept fresh.
    let issuer = env::var("ISSUER").map_err(|_| "ISSUER is not set: whose tokens count?")?;
    let issuer = Rules::builder(&issuer, "orders").build()?;
    let mut tokens = JwtConfig::builder(issuer);
    if let Ok(file) = env::var("ISSUER_CA") {
        // Only for an issuer whose own certificate comes from a private authority.
        tokens = tokens.with_roots(Roots::from_pem(&std::fs::read(file)?)?);
    }
    // How often one address may ask, whatever its token is worth.
    let limit = Limit::new("address", Rate::per_second(10).with_burst(50));
    let limit = RateLimitConfig::builder(Key::address()).add_policy(limit);
    // Who may come in at all. What no rule allows is refused.
    let readers = Rule::allow("readers").from(Callers::anybody().scope("orders:read"));
    let policy = Policy::builder().add(readers).build()?;

    let mut stack = Stack::new()
        .with_tokens(&JwtLayer::load(tokens.build()?).await?)
        .with_address_limit(&RateLimitLayer::new(limit.build()?))
        .with_rules(&AuthzLayer::builder().with_policy(policy).build()?);
    let mtls = env::var_os("MTLS").is_some();
    if mtls {
        let web = MtlsLayer::builder().allow_peer("spiffe://example.org/web".parse()?);
        stack = stack.with_peers(&web.build()?);
    }

    let write = post(async || "taken\n").route_layer(require_scope("orders:write"));
    let app = Router::new()
        .route("/whoami", get(whoami))
        .route("/orders", get(async || "lamp\n").merge(write))
        .layer(stack)
        // Added after the layer, so that it stands outside of it: a prober has no token.
        .route("/healthz", get(async || "alive\n"))
        .into_make_service_with_connect_info::<Connection>();

    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    if mtls {
        // Our certificate, our key and whom we trust: read again whenever the files change.
        let files = MaterialFiles::new("tls.pem", "tls-key.pem");
        let files = files.with_bundle("example.org".parse()?, "ca.pem").load()?;
        let listener = MtlsListener::builder(files.published())
            .bind(address)
            .await?;
        eprintln!("listening on {}", listener.local_addr());
        axum::serve(AxumListener::new(listener), app).await?;
    } else {
        let listener = tokio::net::TcpListener::bind(address).await?;
        eprintln!("listening on {}", listener.local_addr()?);
        axum::serve(AxumListener::new(listener), app).await?;
    }
    Ok(())
}

/// Who asks is an argument; nobody gets here without a valid token.
async fn whoami(principal: Principal, peer: Option<Peer>) -> String {
    let by = peer.map_or_else(|| "somebody".to_owned(), |peer| peer.to_string());
    format!("{}, by {by}\n", principal.subject())
}
