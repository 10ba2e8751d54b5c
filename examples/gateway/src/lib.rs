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
//!    that takes away what is not its own, `CONNECT` and `TRACE`, a way in circles.
//! 2. Then come the layers of a [`Stack`]: limit by address, peers, tokens, and a policy that says
//!    which of them may call what. What no rule allows is refused.
//! 3. The route is found by the path that was decided on, and that path is the one that is sent.
//! 4. What is between two hops is removed ([RFC 9110 §7.6.1]), with all that only the gateway says:
//!    `x-bartizan-*`, `x-forwarded-*`, `forwarded` and their like, with `_`, `.` or any other
//!    separator for `-`, in heads and in trailers. Then it says them.
//! 5. Bodies stream, in both directions, and each is framed anew. An upstream that is away gives
//!    502, one that is slow 504; one that breaks off breaks the response off. Nothing is sent twice.
//!
//! # What it does not protect against
//!
//! * Whoever reaches a service past the gateway can say what the gateway says. Let the service listen
//!   on loopback, or ask for the gateway's certificate (`identity` of an upstream).
//! * What is in a body, or a WebSocket's messages.
//! * A right that is withdrawn while a WebSocket is open: who may open one is decided once, and
//!   again when the client has to come back, after `limits.tunnel_seconds` at the latest.
//! * gRPC that brings nothing for long: a stream to an upstream that speaks HTTP/2 holds its place
//!   until `idle_seconds` pass without a byte. Other bodies have to come at `upload_per_second`.
//! * Clients that read slowly: each holds one place of `limits.concurrent` for as long as it likes to
//!   read. There is a bound, and no hurry.
//!
//! [RFC 9110 §7.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1

mod body;
mod config;
mod failure;
mod framing;
mod headers;
mod health;
mod plain;
mod proxy;
mod routes;
mod tunnel;
mod upstream;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Context as _;
use bartizan::Stack;
use bartizan::authz::PolicyFile;
use bartizan::core::{Challenge, Entrance, ForwardingHeader, GuardLayer, TrustedProxies};
use bartizan::jwt::{JwtConfig, JwtLayer, Roots, Rules};
use bartizan::mtls::{Material, MaterialFiles, MtlsLayer, MtlsListener, Presence};
use bartizan::prelude::AuthzLayer;
use bartizan::ratelimit::{
    IntakeLayer, IntakeRules, Key, LoadLayer, LoadLimit, Policy, Rate, RateLimitConfig,
    RateLimitLayer, UploadLayer, UploadRules,
};
use bartizan::source::Published;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::Layer as _;
use tower_service::Service;

use crate::body::BoxError;
use crate::framing::Framing;
use crate::proxy::Proxy;
use crate::routes::Routes;
use crate::upstream::Upstream;

pub use self::config::Upstream as UpstreamConfig;
pub use self::config::{Config, Limits, Protocol, Route, Tls, Tokens};

/// Where a gateway listens.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// For requests.
    pub requests: SocketAddr,
    /// For health checks.
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

    let material = match &config.tls {
        Some(tls) => Some(material(tls)?),
        None => None,
    };
    let mut upstreams = BTreeMap::new();
    for (name, upstream) in &config.upstreams {
        let upstream = Upstream::new(upstream.clone(), material.as_ref());
        let upstream = upstream.with_context(|| format!("upstream {name}"))?;
        upstreams.insert(name.clone(), Arc::new(upstream));
    }
    let routes = Routes::new(&config, &upstreams)?;
    let proxy = Proxy::new(config.name.clone(), routes, config.limits, stopping.clone());
    let service = guarded(&config, proxy)?;

    let health = match config.health {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
            let address = listener.local_addr()?;
            let checks = health::serve(listener, stopping.clone(), is_over);
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
    match (material, &config.tls) {
        (Some(material), Some(tls)) => {
            let listener = MtlsListener::builder(material);
            if tls.allow_no_certificate {
                let listener = listener.allow_no_certificate().bind(config.listen).await?;
                listening(listener.local_addr());
                serve(listener, service, config.limits, stopping).await?;
            } else {
                let listener = listener.bind(config.listen).await?;
                listening(listener.local_addr());
                serve(listener, service, config.limits, stopping).await?;
            }
        }
        _ => {
            let listener = TcpListener::bind(config.listen).await?;
            listening(listener.local_addr()?);
            plain::serve(listener, service, config.limits, stopping).await?;
        }
    }
    over.send_replace(true);
    if let Some((_, checks)) = health {
        checks.await??;
    }
    Ok(())
}

async fn serve<P, S, B>(
    listener: MtlsListener<P>,
    service: S,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()>
where
    P: Presence,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    bartizan::mtls::serve(listener, service)
        .with_max_connections(NonZeroUsize::new(limits.connections).unwrap_or(NonZeroUsize::MIN))
        .with_header_read_timeout(limits.head)
        .with_drain_timeout(limits.drain)
        .with_shutdown(async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        })
        .await
}

/// Our identity and whom we trust, read again when the files change.
fn material(tls: &Tls) -> anyhow::Result<Published<Material>> {
    let files = MaterialFiles::new(&tls.certificate, &tls.key)
        .with_bundle(tls.trust_domain.clone(), &tls.bundle);
    Ok(files.load()?.published())
}

/// The layers in front of the proxy.
fn guarded<B>(
    config: &Config,
    proxy: Proxy,
) -> anyhow::Result<
    impl Service<
        Request<B>,
        Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static,
>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let limits = config.limits;
    let proxies = config.trusted_proxies.iter().copied();
    let entrance = Entrance::new()
        .with_proxies(TrustedProxies::networks(
            ForwardingHeader::XForwardedFor,
            proxies,
        ))
        .with_routes(Routes::table(config)?);
    let framing = GuardLayer::new(Framing::new(&config.name)).with_entrance(entrance);

    let rate = Rate::per_second(limits.per_second).with_burst(limits.burst);
    let rate = RateLimitConfig::builder(Key::address()).add_policy(Policy::new("address", rate));
    let intake = IntakeRules::builder().with_max_body(limits.body).build()?;
    // How a body looks is between the two ends.
    let upload = UploadRules::builder().with_max_body(limits.body);
    let upload = upload.allow_any_json();
    let upload = match limits.upload_per_second {
        0 => upload.allow_any_pace(),
        rate => upload.with_min_rate(rate, limits.upload_window),
    };
    let upload = upload.build()?;
    let calls = Routes::for_calls(config);
    // Whoever calls a body gRPC gets out of no rule by that where nobody speaks it.
    let upload = UploadLayer::new(upload).with_rules_for(move |inspection| {
        let template = inspection.context.template();
        let is_call = template.is_some_and(|template| calls.contains(template));
        (!is_call).then_some(upload)
    });

    let policy = PolicyFile::new(&config.policy).load()?.published();
    let mut rules = AuthzLayer::builder().with_policy(policy);
    let mut stack = Stack::new()
        .with_address_limit(&RateLimitLayer::new(rate.build()?))
        .with_load(&LoadLayer::new(
            LoadLimit::builder(limits.concurrent).build()?,
        ))
        .with_intake(&IntakeLayer::new(intake));
    if let Some(tls) = &config.tls {
        let peers = tls.peers.iter().cloned();
        let peers = peers.fold(MtlsLayer::builder(), |all, peer| all.allow_peer(peer));
        let peers = match tls.allow_no_certificate {
            true => peers.allow_no_certificate(),
            false => peers,
        };
        stack = stack.with_peers(&peers.build()?);
    }
    if let Some(tokens) = &config.tokens {
        let issuer = Rules::builder(&tokens.issuer, &tokens.audience).build()?;
        // Whether a token is needed is for the policy to say, route by route.
        let mut accepted = JwtConfig::builder(issuer).allow_anonymous();
        if let Some(roots) = &tokens.roots {
            accepted = accepted.with_roots(Roots::from_pem(&std::fs::read(roots)?)?);
        }
        stack = stack.with_tokens(&JwtLayer::start(accepted.build()?)?);
        let challenge = Challenge::new("Bearer").with_param("realm", &tokens.audience);
        rules = rules.with_challenge(challenge);
    }
    let stack = stack.with_rules(&rules.build()?);
    Ok(stack.around(framing).inside(upload).layer(proxy))
}
