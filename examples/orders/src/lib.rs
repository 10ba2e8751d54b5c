//! orders: an HTTP service that one workload may call, on behalf of users.
//!
//! It takes orders and has payments charge for them: over mutual TLS under its own identity, with
//! the user's token passed on.

mod config;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bartizan_core::{AxumListener, Caller, Code, Connection, Rejection, RejectionKind};
use bartizan_jwt::{JwtConfig, JwtLayer, Roots, Rules};
use bartizan_mtls::{AllowedPeers, MaterialFiles, MtlsConnector, MtlsLayer, MtlsListener};
use bartizan_ratelimit::{
    Fields, FleetSecret, Key, Policy, Rate, RateLimitConfig, RateLimitLayer, RedisStore, Sharing,
};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use payments::proto::ChargeRequest;
use payments::proto::payments_client::PaymentsClient;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceBuilder;

pub use self::config::Config;

/// Serves until `stop`, and then what is under way; calls `listening` once requests are accepted.
///
/// # Errors
///
/// If the configuration does not hold, or the server stops.
pub async fn run(
    config: Config,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    // Our identity and whom we trust, read again whenever the files change.
    let material = MaterialFiles::new(&config.certificate, &config.key)
        .with_bundle(config.trust_domain, &config.bundle)
        .load()?;
    let listener = MtlsListener::builder(material.published())
        .bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;

    let callers = MtlsLayer::builder().allow_peer(config.callers).build()?;
    let rules = Rules::builder(&config.issuer, "orders").build()?;
    let roots = Roots::from_pem(&std::fs::read(config.issuer_bundle)?)?;
    let tokens = JwtConfig::builder(rules).with_roots(roots).build()?;
    let tokens = JwtLayer::load(tokens).await?;

    // How often one user may ask: thirty at once, ten a second in the long run.
    let rate = Rate::per_second(10).with_burst(30);
    let limits = RateLimitConfig::builder(Key::subject())
        .add_policy(Policy::new("user", rate))
        .with_fields(Fields::Standard);
    let limits = match config.redis {
        // All copies together; while Redis is away, each grants its share.
        Some(redis) => {
            let secret = FleetSecret::new(std::fs::read(config.fleet_secret)?)?;
            let sharing = Sharing::among(2).with_deadline(Duration::from_millis(250));
            limits.with_store(RedisStore::at(redis, secret).build()?, sharing)
        }
        None => limits,
    };
    let limits = RateLimitLayer::new(limits.build()?);

    // The way to payments: under our own identity, and only to who proves to be payments.
    let connector = MtlsConnector::new(material.published(), AllowedPeers::id(config.payments_id));
    let channel = Endpoint::from_shared(format!("http://{}", config.payments))?
        .connect_with_connector_lazy(connector);

    let app = Router::new()
        .route("/orders/{id}", get(read))
        .route("/orders", post(create))
        .with_state(Arc::new(Desk { payments: PaymentsClient::new(channel), orders: 0.into() }))
        // The first layer is the outermost: who is calling, for whom, how often.
        .layer(ServiceBuilder::new().layer(callers).layer(tokens).layer(limits));

    listening(listener.local_addr());
    let app = app.into_make_service_with_connect_info::<Connection>();
    axum::serve(AxumListener::new(listener), app)
        .with_graceful_shutdown(stop)
        .await?;
    Ok(())
}

struct Desk {
    payments: PaymentsClient<Channel>,
    orders: AtomicU64,
}

/// What a caller is told of an order.
#[derive(Debug, serde::Serialize)]
struct Order {
    id: String,
    customer: String,
    sent_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<String>,
}

async fn read(caller: Caller, Path(id): Path<String>) -> Result<Json<Order>, Rejection> {
    require_scope(&caller, "orders:read")?;
    Ok(Json(order(&caller, id, None)))
}

async fn create(
    caller: Caller,
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
) -> Result<Json<Order>, Rejection> {
    require_scope(&caller, "orders:write")?;
    let id = (desk.orders.fetch_add(1, Ordering::Relaxed) + 1).to_string();
    let mut charge = tonic::Request::new(ChargeRequest {
        order: id.clone(),
        cents: 4_200,
    });
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|token| token.to_str().ok());
    if let Some(token) = token.and_then(|token| token.parse().ok()) {
        charge.metadata_mut().insert("authorization", token);
    }
    let charged = desk
        .payments
        .clone()
        .charge(charge)
        .await
        .map_err(not_paid)?;
    Ok(Json(order(&caller, id, Some(charged.into_inner().payment))))
}

/// What payments says of the token concerns the caller; anything else is between the two of us.
fn not_paid(status: tonic::Status) -> Rejection {
    let kind = match status.code() {
        tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => RejectionKind::Forbidden,
        _ => RejectionKind::Unavailable,
    };
    Rejection::new(kind, PAYMENT_FAILED).with_cause(status)
}

fn order(caller: &Caller, id: String, payment: Option<String>) -> Order {
    let customer = caller.principal.subject().to_owned();
    Order {
        id,
        customer,
        sent_by: caller.peer.to_string(),
        payment,
    }
}

fn require_scope(caller: &Caller, scope: &str) -> Result<(), Rejection> {
    match caller.principal.has_scope(scope) {
        true => Ok(()),
        false => Err(Rejection::new(RejectionKind::Forbidden, MISSING_SCOPE)),
    }
}

/// The token does not cover what is asked for.
const MISSING_SCOPE: Code = Code::new("orders.missing_scope");
/// Payments did not take the payment.
const PAYMENT_FAILED: Code = Code::new("orders.payment_failed");
