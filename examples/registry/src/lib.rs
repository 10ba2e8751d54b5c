//! registry: where services are, told by those who prove that they are them.
//!
//! A workload registers under the name that belongs to its SPIFFE ID, at the address that it connects
//! from, and is listed for as long as it says that it is there. Whoever may know looks it up, and
//! learns which identity must be found at those addresses, so that a registry that lies sends nobody
//! to an impostor: the mutual TLS handshake would fail.
//!
//! | request | does |
//! |---|---|
//! | `PUT /services/{name}/instances/{port}` | registers the caller, or renews |
//! | `DELETE /services/{name}/instances/{port}` | withdraws the caller |
//! | `GET /services/{name}` | tells version, identity and addresses |
//! | `GET /services/{name}?after=VERSION&wait=SECONDS` | the same once there is something newer |
//!
//! # What it does not do
//!
//! * It keeps nothing: after a restart services are listed again as they renew, within one lease.
//!   Its log is kept, and says of each change when and by whom.
//! * It is one process. A second beside it, with the same file, is told by workloads that register
//!   with both.

mod catalog;
mod config;
mod desk;
mod watchers;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bartizan::Stack;
use bartizan::audit::{AuditConfig, AuditLayer, AuditObserver, Durability, Ledger, Rule};
use bartizan::core::{Clock as _, Entrance, RouteTable, SystemClock};
use bartizan::mtls::{MaterialFiles, MtlsLayer, MtlsListener};
use bartizan::ratelimit::{Key, Policy, Rate, RateLimitConfig, RateLimitLayer};

use crate::catalog::Catalog;
use crate::desk::Desk;
use crate::watchers::Watchers;

pub use self::config::{Config, Limits, Service};

/// Serves until `stop` completes; calls `listening` once requests are accepted.
///
/// # Errors
///
/// If the configuration does not hold, or the server stops.
pub async fn run(
    config: Config,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let material = MaterialFiles::new(&config.certificate, &config.key)
        .with_bundle(config.trust_domain.clone(), &config.bundle)
        .load()?;
    let listener = MtlsListener::builder(material.published())
        .bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;

    // Nobody is told that it is registered, or that it is not any more, before that is on the disk.
    let ledger = Ledger::builder(&config.audit, "registry.example/audit").open()?;
    let changes = Rule::metadata().add_template("/services/{name}/instances/{port}");
    let changes = changes.allow_path().with_durability(Durability::Durable);
    let log = AuditConfig::builder(ledger.clone())
        .add_rule(changes)
        .build()?;
    let routes = Entrance::new().with_routes(RouteTable::new(desk::ROUTES)?);
    let log = AuditLayer::new(log).with_entrance(routes);

    let peers = MtlsLayer::builder().allow_trust_domain(config.trust_domain.clone());
    let limits = config.limits;
    let rate = Policy::new("workload", Rate::per_second(limits.per_second));
    let rate = RateLimitConfig::builder(Key::peer()).add_policy(rate);
    let stack = Stack::new()
        .with_peers(&peers.build()?)
        .with_peer_limit(&RateLimitLayer::new(rate.build()?))
        .around(log);

    // Versions go on where an earlier run ended: it made fewer than a thousand a second.
    let began = SystemClock.wall().since_unix_epoch().as_millis();
    let catalog = Catalog::new(&config.services, limits, u64::try_from(began)?);
    let watchers = Watchers::new(limits.watchers_of_one, limits.watchers);
    let observer = AuditObserver::new(ledger.clone());
    let desk = Desk::new(catalog, watchers, config.lease, observer);
    let sweeping = tokio::spawn(desk.clone().sweep());

    listening(listener.local_addr());
    let app = desk::routes(desk).layer(stack);
    let served = bartizan::mtls::serve(listener, app)
        .with_drain_timeout(Duration::from_secs(5))
        .with_shutdown(stop)
        .await;
    sweeping.abort();
    let report = ledger.shutdown(Duration::from_secs(10)).await;
    served?;
    anyhow::ensure!(
        report.totals.lost == 0,
        "the log lost {} events",
        report.totals.lost
    );
    Ok(())
}
