//! What can be asked of the registry. Who asks is proven by its certificate, and by nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use bartizan::audit::AuditObserver;
use bartizan::core::{
    Clock as _, Code, Event, LifecycleEvent, LifecycleKind, MonotonicTime, Observe as _, Peer,
    Rejection, RejectionKind, SecurityContext, SpiffeId, SystemClock,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::catalog::{Catalog, Refusal, Registered, Snapshot};
use crate::watchers::Watchers;

/// What [`routes`] serves, for whoever speaks of requests by their route.
pub(crate) const ROUTES: [&str; 2] = ["/services/{name}", "/services/{name}/instances/{port}"];

/// The longest that somebody may wait for a change: less than what proxies and pools allow.
const LONGEST_WAIT: Duration = Duration::from_secs(55);

/// The registry, as its handlers share it.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Shared>);

struct Shared {
    catalog: Mutex<Catalog>,
    /// Told of each change of a service, by its name: those who wait for others are left alone.
    changes: BTreeMap<Box<str>, watch::Sender<()>>,
    watchers: Watchers,
    lease: Duration,
    log: AuditObserver,
    began: MonotonicTime,
}

pub(crate) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/services/{name}", get(look_up))
        .route(
            "/services/{name}/instances/{port}",
            put(register).delete(withdraw),
        )
        .with_state(desk)
}

/// What whoever looks a service up is told.
#[derive(Serialize)]
struct Found {
    /// Rises with each change.
    version: u64,
    /// Who must be found at the addresses: connect to this identity, and to no other.
    identity: String,
    /// Where it is.
    instances: Vec<SocketAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    /// Only a version beyond this one is of interest.
    after: Option<u64>,
    /// For how many seconds to wait for it.
    wait: Option<u64>,
}

#[derive(Serialize)]
struct Lease {
    address: SocketAddr,
    lease_seconds: u64,
}

async fn look_up(
    State(desk): State<Desk>,
    peer: Peer,
    name: Result<Path<String>, PathRejection>,
    watch: Result<Query<Watch>, QueryRejection>,
) -> Result<Json<Found>, Rejection> {
    let (Path(name), Query(watch)) = (name.map_err(malformed)?, watch.map_err(malformed)?);
    let who = identity(&peer)?;
    // Before it is looked, so that no change in between is missed.
    let changes = desk.0.changes.get(name.as_str());
    let changes = changes.ok_or_else(|| refused(Refusal::NotYours))?;
    let mut changes = changes.subscribe();
    let mut found = desk.snapshot(&name, who)?;
    if let (Some(after), Some(wait)) = (watch.after, watch.wait) {
        let _place = desk.0.watchers.enter(who).map_err(refused)?;
        let limit = Duration::from_secs(wait).min(LONGEST_WAIT);
        let newer = async {
            while found.version <= after && changes.changed().await.is_ok() {
                found = desk.snapshot(&name, who)?;
            }
            Ok::<(), Rejection>(())
        };
        // Nothing new is an answer as well.
        if let Ok(ended) = timeout(limit, newer).await {
            ended?;
        }
    }
    Ok(Json(Found {
        version: found.version,
        identity: found.owner.to_string(),
        instances: found.instances,
    }))
}

async fn register(
    State(desk): State<Desk>,
    peer: Peer,
    context: SecurityContext,
    place: Result<Path<(String, u16)>, PathRejection>,
) -> Result<Json<Lease>, Rejection> {
    let Path((name, port)) = place.map_err(malformed)?;
    let who = identity(&peer)?;
    let address = own_address(&context, port)?;
    let now = desk.now();
    // What its certificate does not outlive is listed no longer either.
    let left = peer.not_after().saturating_since(SystemClock.wall());
    let lease = desk.0.lease.min(left);
    let done = desk
        .catalog()
        .register(&name, who, address, now, now + lease);
    if done.map_err(refused)? == Registered::New {
        desk.tell(LifecycleKind::Started, REGISTERED, &name, address, who);
    }
    Ok(Json(Lease {
        address,
        lease_seconds: lease.as_secs(),
    }))
}

async fn withdraw(
    State(desk): State<Desk>,
    peer: Peer,
    context: SecurityContext,
    place: Result<Path<(String, u16)>, PathRejection>,
) -> Result<StatusCode, Rejection> {
    let Path((name, port)) = place.map_err(malformed)?;
    let who = identity(&peer)?;
    let address = own_address(&context, port)?;
    let done = desk.catalog().withdraw(&name, who, address, desk.now());
    if done.map_err(refused)? {
        desk.tell(LifecycleKind::Stopped, WITHDRAWN, &name, address, who);
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Desk {
    pub(crate) fn new(
        catalog: Catalog,
        watchers: Watchers,
        lease: Duration,
        log: AuditObserver,
    ) -> Self {
        let names = catalog.names().map(Box::from);
        let changes = names.map(|name| (name, watch::Sender::new(()))).collect();
        Self(Arc::new(Shared {
            catalog: Mutex::new(catalog),
            changes,
            watchers,
            lease,
            log,
            began: SystemClock.monotonic(),
        }))
    }

    /// Forgets what has ended, for as long as it is polled.
    pub(crate) async fn sweep(self) {
        // A lease that has ended is not told any more; this is for those who wait.
        let pause = (self.0.lease / 10).min(Duration::from_secs(1));
        loop {
            tokio::time::sleep(pause).await;
            let gone = self.catalog().sweep(self.now());
            for gone in gone {
                let kind = LifecycleKind::Stopped;
                self.tell(kind, EXPIRED, &gone.service, gone.address, &gone.owner);
            }
        }
    }

    fn snapshot(&self, name: &str, who: &SpiffeId) -> Result<Snapshot, Rejection> {
        self.catalog()
            .look_up(name, who, self.now())
            .map_err(refused)
    }

    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        let catalog = &self.0.catalog;
        // Each change of it is whole, also if somebody panics later.
        catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        SystemClock.monotonic().saturating_since(self.0.began)
    }

    /// Tells those who wait, and the log.
    fn tell(
        &self,
        kind: LifecycleKind,
        code: Code,
        service: &str,
        address: SocketAddr,
        who: &SpiffeId,
    ) {
        if let Some(changes) = self.0.changes.get(service) {
            changes.send_replace(());
        }
        let detail = format!("{address} as {who}");
        let event = LifecycleEvent::new("registry", kind, code)
            .with_address(address.ip())
            .with_subject(service)
            .with_detail(&detail);
        self.0.log.observe(&Event::Lifecycle(event));
    }
}

/// Where whoever asks is: at the far end of the connection, whatever it would like to say.
fn own_address(context: &SecurityContext, port: u16) -> Result<SocketAddr, Rejection> {
    match context.address() {
        Some(address) if port != 0 => Ok(SocketAddr::new(address, port)),
        _ => Err(Rejection::new(RejectionKind::Malformed, MALFORMED)),
    }
}

fn identity(peer: &Peer) -> Result<&SpiffeId, Rejection> {
    peer.spiffe_id().ok_or_else(|| refused(Refusal::NotYours))
}

fn refused(refusal: Refusal) -> Rejection {
    let (kind, code, detail) = match refusal {
        Refusal::Full => (RejectionKind::Unavailable, FULL, "there is no room"),
        Refusal::NotYours => (
            RejectionKind::Forbidden,
            NOT_YOURS,
            "this service is not yours, or there is none of this name",
        ),
        Refusal::TooMany => (
            RejectionKind::RateLimited,
            TOO_MANY,
            "you have too many already",
        ),
    };
    Rejection::new(kind, code).with_detail(detail)
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Rejection {
    Rejection::new(RejectionKind::Malformed, MALFORMED).with_cause(error)
}

/// There is no room for anybody.
const FULL: Code = Code::new("registry.full");
/// What was asked for is not understood.
const MALFORMED: Code = Code::new("registry.malformed");
/// The name is another's, or nobody's.
const NOT_YOURS: Code = Code::new("registry.not_yours");
/// There is no more room for this identity.
const TOO_MANY: Code = Code::new("registry.too_many");
/// An instance was listed.
const REGISTERED: Code = Code::new("registry.registered");
/// An instance was taken off the list by itself.
const WITHDRAWN: Code = Code::new("registry.withdrawn");
/// An instance did not say any more that it was there.
const EXPIRED: Code = Code::new("registry.expired");
