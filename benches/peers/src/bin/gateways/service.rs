//! The service: bare, behind mutual TLS, or with the whole stack.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use bartizan::Stack;
use bartizan::audit::{AuditConfig, AuditLayer, Ledger};
use bartizan::authz::{AuthzLayer, Callers, Policy, Rule, Targets};
use bartizan::core::{Entrance, RouteTable};
use bartizan::jwt::{Algorithm, JwtConfig, JwtLayer, KeySet, Rules};
use bartizan::mtls::{MaterialFiles, MtlsLayer, MtlsListener, serve};
use bartizan::ratelimit::{Key, Policy as Limit, Rate, RateLimitConfig, RateLimitLayer};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use payments::proto::payments_server::{Payments, PaymentsServer};
use payments::proto::{ChargeReply, ChargeRequest};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tower::Layer as _;

use crate::options::{Participant, Serve};
use crate::policy;

/// Serves until standard input ends, and says then what the audit log came to.
pub(crate) fn run(options: &Serve) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match options.participant {
            Participant::Bare => bare(options).await,
            Participant::Identity => {
                let listener = listener(options).await?;
                serve(listener, routes()).with_shutdown(told()).await?;
                Ok(())
            }
            _ => guarded(options).await,
        }
    })
}

/// What is measured with and without layers.
fn routes() -> Router {
    let grpc = tonic::service::Routes::new(PaymentsServer::new(Till));
    grpc.into_axum_router()
        .route(policy::TEMPLATE, get(order).delete(order))
}

#[derive(serde::Serialize)]
struct Order {
    id: String,
    state: &'static str,
    cents: u64,
}

async fn order(Path(id): Path<String>) -> Json<Order> {
    Json(Order {
        id,
        state: "packed",
        cents: 4_200,
    })
}

#[derive(Debug)]
struct Till;

#[tonic::async_trait]
impl Payments for Till {
    async fn charge(
        &self,
        request: tonic::Request<ChargeRequest>,
    ) -> Result<tonic::Response<ChargeReply>, tonic::Status> {
        Ok(tonic::Response::new(ChargeReply {
            payment: request.into_inner().order,
            payer: String::new(),
        }))
    }
}

async fn bare(options: &Serve) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.listen).await?;
    let service = TowerToHyperService::new(routes());
    let serving = async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                // How a connection ends is the client's affair.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    tokio::select! {
        failed = serving => failed,
        () = told() => Ok(()),
    }
}

async fn guarded(options: &Serve) -> anyhow::Result<()> {
    let caller = || policy::CALLER.parse();
    let peers = MtlsLayer::builder().allow_peer(caller()?).build()?;

    let rules = Rules::builder(policy::ISSUER, policy::AUDIENCE)
        .with_algorithms([Algorithm::Rs256])
        .with_leeway(Duration::from_secs(policy::LEEWAY))
        .build()?;
    let keys = std::fs::read_to_string(options.folder.join("jwks.json"))?;
    let tokens = JwtConfig::builder(rules).with_keys(KeySet::from_json(&keys)?);
    let tokens = JwtLayer::load(tokens.build()?).await?;

    let rate = Rate::new(options.limit, Duration::from_secs(options.period));
    let limit = RateLimitConfig::builder(Key::subject()).add_policy(Limit::new("subject", rate));
    let limit = RateLimitLayer::new(limit.build()?);

    let callers = || anyhow::Ok(Callers::peer(caller()?).scope(policy::SCOPE));
    let orders = Targets::method("GET").path(policy::TEMPLATE);
    // A gRPC call is a POST; said here too, since the proxies' policies say it.
    let charges = Targets::grpc(policy::GRPC_SERVICE, policy::GRPC_METHOD).or_method("POST");
    let rules = Policy::builder()
        .add(Rule::allow("orders").from(callers()?).to(orders))
        .add(Rule::allow("charges").from(callers()?).to(charges));
    let rules = AuthzLayer::builder().with_policy(rules.build()?).build()?;

    let routes_known = RouteTable::new([policy::TEMPLATE, policy::GRPC_PATH])?;
    let entrance = Entrance::new().with_routes(routes_known);
    let ledger = Ledger::builder(options.folder.join("ledger"), "orders.example/audit").open()?;
    let log = AuditConfig::builder(ledger.clone()).build()?;
    let stack = Stack::new()
        .with_entrance(entrance.clone())
        .with_peers(&peers)
        .with_tokens(&tokens)
        .with_principal_limit(&limit)
        .with_rules(&rules)
        .around(AuditLayer::new(log).with_entrance(entrance));

    let listener = listener(options).await?;
    serve(listener, stack.layer(routes()))
        .with_drain_timeout(Duration::from_secs(1))
        .with_shutdown(told())
        .await?;
    let totals = ledger.shutdown(Duration::from_secs(20)).await.totals;
    writeln!(std::io::stdout(), "{} {}", totals.durable, totals.lost)?;
    Ok(())
}

async fn listener(options: &Serve) -> anyhow::Result<MtlsListener> {
    let file = |name: &str| options.folder.join(name);
    let material = MaterialFiles::new(file("orders.pem"), file("orders-key.pem"))
        .with_bundle(policy::TRUST_DOMAIN.parse()?, file("ca.pem"))
        .load()?;
    let listener = MtlsListener::builder(material.published());
    let listener = listener.bind(options.listen).await;
    listener.with_context(|| format!("cannot listen on {}", options.listen))
}

/// Completes when standard input ends: the bench has stopped us, or is gone.
async fn told() {
    let mut rest = [0; 64];
    while tokio::io::stdin()
        .read(&mut rest)
        .await
        .is_ok_and(|read| read > 0)
    {}
}
