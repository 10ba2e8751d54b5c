//! gateway: a reverse proxy that gives services in any language the family's layers.
//!
//! In front of it stand callers with certificates and tokens, behind it services that know of
//! neither. The gateway proves who asks, limits, decides, and passes on what it let in, with who
//! asked in headers that nobody else can send. Alone before many services it is an API gateway;
//! beside one, on loopback, a sidecar.
//!
//! # How it decides
//!
//! 1. Requests that hops could understand in different ways are refused: two hosts, a `Connection`
//!    that takes away what is not its own, `CONNECT`, `TRACE`, `TRACK` and `DEBUG`, a way in circles.
//! 2. Then come the layers of a [`Stack`](bartizan::Stack): limit by address, peers, tokens, and a policy that says
//!    which of them may call what. What no rule allows is refused.
//! 3. The route is found by the path that was decided on, and that path is the one that is sent.
//! 4. What is between two hops is removed ([RFC 9110 §7.6.1]), with all that only the gateway says:
//!    `x-bartizan-*`, `x-forwarded-*`, `forwarded` and their like, with `_`, `.` or any other
//!    separator for `-`, in heads and in trailers. Then it says them.
//! 5. While a WebSocket is open, its head is decided on again and again: with a token that is good
//!    no longer, a key that was withdrawn or a rule that was changed, it ends.
//! 6. Bodies stream, in both directions, and each is framed anew. An upstream that is away gives
//!    502, one that is slow 504; one that breaks off breaks the response off. Nothing is sent twice.
//!
//! # What it does not protect against
//!
//! * Whoever reaches a service past the gateway can say what the gateway says. Let the service listen
//!   on loopback, or ask for the gateway's certificate (`identity` of an upstream).
//! * What is in a body, or a WebSocket's messages.
//! * A right that is withdrawn while something is under way, for a moment: what a token or a peer
//!   was trusted for ends a response within seconds, and a WebSocket as well. The policy is asked of
//!   open WebSockets every `limits.recheck_seconds`, and of a response that goes on no more.
//! * gRPC that says little: a call to an upstream that speaks HTTP/2 holds its place for as long as
//!   its client brings `limits.call_per_second`, and for `limits.call_seconds` at the most.
//! * Clients that read slowly: each holds one place of `limits.concurrent` for as long as it likes to
//!   read. There is a bound, and no hurry.
//!
//! [RFC 9110 §7.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1

mod again;
mod body;
mod config;
mod failure;
mod framing;
mod headers;
mod health;
mod layers;
mod proxy;
mod routes;
mod serving;
mod tunnel;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use bartizan::core::Observe;
use bartizan::mtls::{EndConnection, Material, MaterialFiles, MtlsListener};
use bartizan::source::Published;
use bartizan::telemetry::MetricsObserver;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::layers::Callers;
use crate::proxy::Proxy;
use crate::routes::Routes;
use crate::upstream::Upstream;

pub use self::config::Upstream as UpstreamConfig;
pub use self::config::{Config, Limits, Mode, Protocol, Route, Tls, Tokens};

/// Where a gateway listens.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// For requests.
    pub requests: SocketAddr,
    /// For health checks and metrics.
    pub health: Option<SocketAddr>,
}

/// Serves until `stop` completes and what was under way has ended; calls `listening` once requests
/// are accepted.
///
/// # Errors
///
/// If the configuration does not hold, or the server stops.
pub async fn run(
    config: Config,
    listening: impl FnOnce(Listening),
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (stopper, stopping) = watch::channel(false);
    let (over, is_over) = watch::channel(false);
    tokio::spawn(async move {
        stop.await;
        stopper.send_replace(true);
        // Until everybody who listens is gone.
        stopper.closed().await;
    });

    // What is decided, for whoever scrapes it at the health port.
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let observer: Arc<dyn Observe> = Arc::new(MetricsObserver::builder(recorder).build());

    let material = match &config.tls {
        Some(tls) => Some(material(&config, tls, &observer)?),
        None => None,
    };
    let mut upstreams = BTreeMap::new();
    for (name, upstream) in &config.upstreams {
        let upstream = Upstream::new(upstream.clone(), material.as_ref());
        let upstream = upstream.with_context(|| format!("upstream {name}"))?;
        upstreams.insert(name.clone(), Arc::new(upstream));
    }
    let routes = Routes::new(&config, &upstreams)?;
    let callers = Callers::new(&config, &observer)?;
    let proxy = Proxy::new(&config, routes, callers.again(), stopping.clone());
    let service = layers::guarded(&config, &callers, &observer, proxy)?;

    let health = match config.health {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
            let address = listener.local_addr()?;
            let checks = health::serve(listener, metrics, stopping.clone(), is_over);
            Some((address, tokio::spawn(checks)))
        }
        None => None,
    };
    let address = health.as_ref().map(|(address, _)| *address);
    let listening = |requests| {
        listening(Listening {
            requests,
            health: address,
        })
    };
    let limits = config.limits;
    match (material, &config.tls) {
        (Some(material), Some(tls)) => {
            let listener = MtlsListener::builder(material)
                .with_observer(observer)
                .with_drain_timeout(limits.drain)
                // A peer that is believed no longer asks nothing more, through a tunnel neither.
                .on_revocation(EndConnection::AtOnce);
            if tls.allow_no_certificate {
                let listener = listener.allow_no_certificate().bind(config.listen).await?;
                listening(listener.local_addr());
                serving::serve(listener, service, limits, stopping).await?;
            } else {
                let listener = listener.bind(config.listen).await?;
                listening(listener.local_addr());
                serving::serve(listener, service, limits, stopping).await?;
            }
        }
        _ => {
            let listener = TcpListener::bind(config.listen).await?;
            listening(listener.local_addr()?);
            serving::serve(listener, service, limits, stopping).await?;
        }
    }
    over.send_replace(true);
    if let Some((_, checks)) = health {
        checks.await??;
    }
    Ok(())
}

/// Our identity and whom we trust, read again when the files change.
fn material(
    config: &Config,
    tls: &Tls,
    observer: &Arc<dyn Observe>,
) -> anyhow::Result<Published<Material>> {
    let mut files = MaterialFiles::new(&tls.certificate, &tls.key)
        .with_bundle(tls.trust_domain.clone(), &tls.bundle)
        .with_interval(config.reload)
        .with_observer(Arc::clone(observer));
    if let Some(lists) = &tls.revocation_lists {
        files = files.with_revocation_lists(tls.trust_domain.clone(), lists);
    }
    Ok(files.load()?.published())
}
