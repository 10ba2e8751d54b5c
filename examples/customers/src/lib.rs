//! customers: an HTTP service that keeps personal data and never sees it.
//!
//! Card numbers are sealed before the handlers get them, each under a key of its customer, and
//! opened on the way out for whom it may concern. A partner's workload may call beside our own;
//! tokens may be bound to a key or a certificate, and end when their owner signs out; whoever
//! guesses tokens is soon stopped. What happened stands in a log that nobody can quietly change.

mod config;
mod desk;
mod records;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bartizan_audit::{AuditConfig, AuditLayer, Durability, Ledger, Rule};
use bartizan_core::{Entrance, ForwardingHeader, RouteTable, SecurityContext, TrustedProxies};
use bartizan_encrypt::{
    EncryptConfig, EncryptLayer, FieldRule, Grant, KeyFile, Keyring, LocalKek, Mask, Place, Shown,
};
use bartizan_jwt::{Dpop, JwtConfig, JwtLayer, RevocationList, Roots, Rules};
use bartizan_mtls::{AllowedPeers, MaterialFiles, MtlsLayer, MtlsListener, ProxyGrant};
use bartizan_ratelimit::{Key, Policy, Rate, RateLimitConfig, RateLimitLayer, Settlement};
use http::request::Parts;
use tower::ServiceBuilder;

pub use self::config::Config;
pub use self::records::Records;

/// How large the files of the log are: small ones are verified sooner, and copied away sooner.
const SEGMENT: u64 = 8 * 1024 * 1024;
/// How many sessions may be signed out of before their tokens have expired.
const SIGNED_OUT: usize = 100_000;

/// Serves until `stop` completes or it fails; calls `listening` once requests are accepted.
///
/// # Errors
///
/// If the configuration does not hold, or the server stops.
pub async fn run(
    config: Config,
    records: Records,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let file = |name: &str| config.pki.join(name);
    // Our identity, our own authorities and the partner's: each vouches for its own names alone.
    let material = MaterialFiles::new(file("customers.pem"), file("customers-key.pem"))
        .with_bundle(config.trust_domain.clone(), file("ca.pem"))
        .with_revocation_lists(config.trust_domain.clone(), file("crl.pem"))
        .with_bundle(config.partner, file("partner.pem"))
        .with_interval(config.look_every)
        .load()?;
    let listener = MtlsListener::builder(material.published())
        .bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;

    // What happened: one record per request. Nothing is done to keys before it is on the disk.
    let ledger = Ledger::builder(&config.audit, "customers.example/audit")
        .with_segment_bytes(SEGMENT)
        .open()?;
    let keys = Rule::metadata().add_template("/customers/{id}/key");
    let log =
        AuditConfig::builder(ledger.clone()).add_rule(keys.with_durability(Durability::Durable));
    let proxies = TrustedProxies::networks(ForwardingHeader::XForwardedFor, config.proxy_networks);
    let entrance = Entrance::new()
        .with_proxies(proxies)
        .with_routes(RouteTable::new(desk::ROUTES)?);
    let log = AuditLayer::new(log.build()?).with_entrance(entrance);

    // Whoever guesses tokens pays for each wrong one as for twenty requests.
    let rate = Rate::per_second(50).with_burst(200);
    let fuse = RateLimitConfig::builder(Key::address())
        .add_policy(Policy::new("address", rate))
        .with_settlement(|answer| match answer.status.as_u16() {
            401 => Settlement::Charge(19),
            _ => Settlement::Keep,
        });
    let fuse = RateLimitLayer::new(fuse.build()?);

    let callers = config.callers.into_iter();
    let callers = callers.fold(MtlsLayer::builder(), |all, caller| all.allow_peer(caller));
    let proxy = AllowedPeers::pattern(config.proxy.clone());
    let callers = callers
        .allow_peer(config.proxy)
        .trust_proxy(ProxyGrant::xfcc(proxy).allow_certificate_binding())
        .build()?;

    let rules = Rules::builder(&config.issuer, "customers").build()?;
    let signed_out = RevocationList::new(SIGNED_OUT);
    let tokens = JwtConfig::builder(rules)
        .with_roots(Roots::from_pem(&std::fs::read(file("ca.pem"))?)?)
        .with_dpop(Dpop::builder(&config.origin).build()?)
        .with_revocations(signed_out.clone());
    let tokens = JwtLayer::load(tokens.build()?).await?;

    let keyring = keyring(&config.keys, &config.wrapping_key)?;
    let app = desk::routes(keyring.clone(), cards(keyring)?, records, signed_out)
        // The first layer is the outermost.
        .layer(ServiceBuilder::new().layer(log).layer(fuse).layer(callers).layer(tokens));

    listening(listener.local_addr());
    bartizan_mtls::serve(listener, app)
        .with_drain_timeout(Duration::from_secs(5))
        .with_shutdown(stop)
        .await?;
    let report = ledger.shutdown(Duration::from_secs(10)).await;
    anyhow::ensure!(
        report.totals.lost == 0,
        "the log lost {} events",
        report.totals.lost
    );
    Ok(())
}

/// The data keys, wrapped by the key in `wrapping_key`.
fn keyring(keys: &Path, wrapping_key: &Path) -> anyhow::Result<Keyring> {
    let kek = LocalKek::from_file(wrapping_key)?;
    let store = match keys.try_exists()? {
        true => KeyFile::open(keys, std::slice::from_ref(&kek))?,
        false => KeyFile::create(keys, kek.clone())?,
    };
    Ok(Keyring::builder("customers", store, kek).build()?)
}

/// Seals card numbers on the way in, and shows them on the way out by the token's scopes.
fn cards(keyring: Keyring) -> anyhow::Result<EncryptLayer> {
    let card = FieldRule::new("/card")
        .show(Grant::scope("cards:read"), Shown::Plain)
        .show(Grant::scope("customers:read"), Shown::Masked(Mask::Last4))
        .otherwise(Shown::Omitted);
    let config = EncryptConfig::builder(keyring, "customers", whose).add_field(card);
    Ok(EncryptLayer::new(config.build()?))
}

/// Whose fields a request is about: the customer's in its path.
fn whose(request: &Parts, _: &SecurityContext) -> Option<Place> {
    let customer = request.uri.path().strip_prefix("/customers/")?;
    let place = Place::new(desk::TENANT).ok()?;
    place
        .with_record(customer)
        .ok()?
        .with_subject(customer)
        .ok()
}
