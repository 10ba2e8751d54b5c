//! The service: everything that Bartizan has, as a service would have it.

mod app;
mod told;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan::Stack;
use bartizan::audit::{AuditConfig, AuditLayer, AuditObserver, Durability, Ledger, Rule as Kept};
use bartizan::authz::{AuthzLayer, Callers, Policy, Rule, Targets};
use bartizan::core::{
    Entrance, ForwardingHeader, Inspection, IpNetwork, Observe, RouteTable, TrustedProxies,
    observe_fn,
};
use bartizan::jwt::{JwtConfig, JwtLayer, Roots, Rules};
use bartizan::mtls::{MaterialFiles, MtlsLayer, MtlsListener};
use bartizan::ratelimit::{
    FleetSecret, Key, Policy as Limit, Rate, RateLimitConfig, RateLimitLayer, RedisStore, Sharing,
};

use self::told::Told;
use crate::reconcile::Said;

/// The trust domain of everybody.
pub(crate) const DOMAIN: &str = "soak.example";
/// Whom tokens are for.
pub(crate) const AUDIENCE: &str = "soak";
/// From where the addresses of clients are believed.
pub(crate) const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How many addresses the limit by address remembers: fewer than a flood brings.
pub(crate) const ADDRESSES: usize = 4_096;
/// How many tokens are remembered: fewer than a flood brings.
pub(crate) const TOKENS: usize = 1_024;
/// How often one subject may ask in a second.
pub(crate) const PER_SECOND: u64 = 100;

/// Where the service finds what it needs.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// The folder with `service.pem` and `roots.pem`.
    #[arg(long)]
    pub(crate) identity: PathBuf,
    /// The issuer of tokens.
    #[arg(long)]
    pub(crate) issuer: String,
    /// The authority behind the issuer, PEM.
    #[arg(long)]
    pub(crate) issuer_roots: PathBuf,
    /// The Redis server.
    #[arg(long)]
    pub(crate) redis: String,
    /// The folder of the ledger.
    #[arg(long)]
    pub(crate) ledger: PathBuf,
}

/// How full bounded tables are at the end, and what they have room for.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
pub(crate) struct Tables {
    /// Addresses that limits remember.
    pub(crate) addresses: usize,
    /// Most addresses that they can.
    pub(crate) most_addresses: usize,
    /// Addresses that made room for others, for want of it.
    pub(crate) evictions: u64,
    /// Tokens that the cache remembers.
    pub(crate) tokens: usize,
    /// About the most that it can.
    pub(crate) most_tokens: usize,
    /// Handshakes that failed, as the listener itself counts them.
    pub(crate) handshakes_failed: u64,
}

/// What a service has to say at its end.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
pub struct Farewell {
    /// What the ledger is held to.
    pub(crate) said: Said,
    /// What tables hold.
    pub(crate) tables: Tables,
    /// How often its storage failed and worked again, by code.
    pub(crate) storage: Vec<(String, u64)>,
}

/// Serves until `stop`, and then what is under way; calls `listening` once requests are accepted.
///
/// # Errors
///
/// If something that it needs is not there.
pub async fn serve(
    config: Config,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Farewell> {
    let told = Arc::new(Told::default());
    let ledger = ledger(&config, &told)?;
    let observer: Arc<dyn Observe> = {
        let (told, ledger) = (Arc::clone(&told), AuditObserver::new(ledger.clone()));
        Arc::new(observe_fn(move |event| told.pass_on(event, &ledger)))
    };
    let chain = config.identity.join("service.pem");
    let material = MaterialFiles::new(&chain, &chain)
        .with_bundle(DOMAIN.parse()?, config.identity.join("roots.pem"))
        .with_interval(Duration::from_millis(500))
        .with_observer(Arc::clone(&observer))
        .load()?;
    let listener = MtlsListener::builder(material.published())
        .with_observer(Arc::clone(&observer))
        // Clients without a certificate get as far as the layer, which refuses them.
        .allow_no_certificate()
        .bind((Ipv4Addr::LOCALHOST, 0))
        .await?;

    let addresses = limit_of_addresses()?;
    let tokens = tokens(&config, &observer).await?;
    let log = AuditConfig::builder(ledger.clone())
        .add_rule(
            Kept::metadata()
                .add_template("/payments")
                .with_durability(Durability::Durable),
        )
        .with_durable_wait(Duration::from_secs(2));
    let stack = Stack::new()
        .with_entrance(entrance()?)
        .with_address_limit(&addresses)
        .with_peers(
            &MtlsLayer::builder()
                .allow_trust_domain(DOMAIN.parse()?)
                .build()?,
        )
        .with_tokens(&tokens)
        .with_principal_limit(&limit_of_subjects(&config, &observer)?)
        .with_rules(&rules()?)
        .around(AuditLayer::new(log.build()?).with_entrance(entrance()?));

    let monitor = listener.monitor();
    listening(listener.local_addr());
    bartizan::mtls::serve(listener, app::routes().layer(stack))
        .with_drain_timeout(Duration::from_secs(5))
        .with_shutdown(stop)
        .await?;

    let occupancy = addresses.guard().limiter().occupancy();
    let tables = Tables {
        addresses: occupancy.iter().map(|it| it.live).sum(),
        most_addresses: occupancy.iter().map(|it| it.slots).sum(),
        evictions: occupancy.iter().map(|it| it.live_evictions).sum(),
        tokens: tokens.guard().cached_tokens(),
        most_tokens: TOKENS,
        handshakes_failed: monitor.status().handshakes_failed.values().sum(),
    };
    // What still runs beside has nothing to say any more.
    told.close();
    let report = ledger.shutdown(Duration::from_secs(30)).await;
    let said = Said {
        lifecycle: told.lifecycle(),
        accepted: report.totals.accepted,
        durable: report.totals.durable,
        lost: report.totals.lost,
        complete: report.complete,
    };
    Ok(Farewell {
        said,
        tables,
        storage: told.storage(),
    })
}

/// Clients of this machine as often as they like; those behind the balancer a few times an hour, so
/// that each of them is remembered for longer than a flood takes.
fn limit_of_addresses() -> anyhow::Result<RateLimitLayer> {
    let is_near = |inspection: &Inspection<'_>| {
        let address = inspection.context.address();
        address.is_some_and(|address| address.is_loopback())
    };
    let near = Limit::new("near", Rate::per_second(1_000_000)).with_keys(ADDRESSES);
    let far = Limit::new("far", Rate::per_hour(10)).with_keys(ADDRESSES);
    let limit = RateLimitConfig::builder(Key::address())
        .add_policy_if(near, is_near)
        .add_policy_if(far, move |inspection| !is_near(inspection));
    Ok(RateLimitLayer::new(limit.build()?))
}

/// Small segments and a small buffer, so that a full disk is felt within seconds.
fn ledger(config: &Config, told: &Arc<Told>) -> anyhow::Result<Ledger> {
    let told = Arc::clone(told);
    let of_storage = Arc::new(observe_fn(move |event| told.note_storage(event)));
    let ledger = Ledger::builder(&config.ledger, "soak.example/audit")
        .with_segment_bytes(512 * 1024)
        .with_buffer_bytes(512 * 1024)
        .with_observer(of_storage)
        .open()?;
    Ok(ledger)
}

fn entrance() -> anyhow::Result<Entrance> {
    let balancers = [IpNetwork::new(BALANCER.into(), 32)?];
    let proxies = TrustedProxies::networks(ForwardingHeader::XForwardedFor, balancers);
    let routes = RouteTable::new(app::TEMPLATES)?;
    Ok(Entrance::new().with_proxies(proxies).with_routes(routes))
}

async fn tokens(config: &Config, observer: &Arc<dyn Observe>) -> anyhow::Result<JwtLayer> {
    let roots = Roots::from_pem(&std::fs::read(&config.issuer_roots)?)?;
    let rules = Rules::builder(&config.issuer, AUDIENCE).build()?;
    let tokens = JwtConfig::builder(rules)
        .with_roots(roots)
        .with_key_lifetime(Duration::from_secs(5))
        .with_cool_down(Duration::from_secs(1))
        .with_patience(Duration::from_millis(500))
        .with_cached_tokens(TOKENS)
        .with_observer(Arc::clone(observer));
    Ok(JwtLayer::load(tokens.build()?).await?)
}

fn limit_of_subjects(
    config: &Config,
    observer: &Arc<dyn Observe>,
) -> anyhow::Result<RateLimitLayer> {
    let store = RedisStore::at(&config.redis, FleetSecret::new([7; 32])?).build()?;
    let sharing = Sharing::among(1).with_deadline(Duration::from_millis(50));
    let limit = RateLimitConfig::builder(Key::subject())
        .add_policy(Limit::new("subject", Rate::per_second(PER_SECOND)))
        .with_observer(Arc::clone(observer))
        .with_store(store, sharing);
    Ok(RateLimitLayer::new(limit.build()?))
}

fn rules() -> anyhow::Result<AuthzLayer> {
    let readers = Rule::allow("readers")
        .from(Callers::anybody().scope("read"))
        .to(Targets::method("GET").path("/orders/{id}"))
        .to(Targets::method("GET").path("/feed"));
    let writers = Rule::allow("writers")
        .from(Callers::anybody().scope("write"))
        .to(Targets::method("POST").path("/orders"))
        .to(Targets::method("POST").path("/payments"))
        .to(Targets::grpc_service(app::SERVICE));
    let policy = Policy::builder().add(readers).add(writers).build()?;
    Ok(AuthzLayer::builder().with_policy(policy).build()?)
}
