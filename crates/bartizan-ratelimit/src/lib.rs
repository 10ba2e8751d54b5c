//! Limits how often each caller may call: several windows at once, in memory that no flood resets.
//!
//! [`RateLimitLayer`] counts requests by whoever makes them (an address, a peer, a principal, or
//! whatever a closure says), and refuses what goes beyond its [policies](Policy). It works
//! unchanged in front of axum, tonic and plain hyper services; a refusal is 429 with `Retry-After`
//! and problem details for HTTP, and `RESOURCE_EXHAUSTED` with a time to retry for gRPC. The
//! [`Limiter`] underneath can be used by itself.
//!
//! # Quick start
//!
//! ```
//! use bartizan_core::Connection;
//! use bartizan_ratelimit::{Key, Policy, Rate, RateLimitConfig, RateLimitLayer};
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//!
//! let config = RateLimitConfig::builder(Key::address())
//!     .add_policy(Policy::new("burst", Rate::per_second(2)))
//!     .add_policy(Policy::new("daily", Rate::per_day(10_000)))
//!     .build()?;
//! let service = RateLimitLayer::new(config).layer(service_fn(async |_: Request<()>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(()))
//! }));
//!
//! // What a listener would say of the connection.
//! let request = |address: &str| -> Result<Request<()>, Box<dyn std::error::Error>> {
//!     let connection = Connection::from_remote(address.parse()?);
//!     Ok(Request::builder().extension(connection).body(())?)
//! };
//! assert_eq!(service.clone().oneshot(request("192.0.2.1:1000")?).await?.status(), 200);
//! assert_eq!(service.clone().oneshot(request("192.0.2.1:1001")?).await?.status(), 200);
//!
//! let refused = service.clone().oneshot(request("192.0.2.1:1002")?).await?;
//! assert_eq!(refused.status(), 429);
//! assert_eq!(refused.headers()["retry-after"], "1");
//!
//! assert_eq!(service.oneshot(request("192.0.2.2:1000")?).await?.status(), 200);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it decides
//!
//! 1. The [`Key`] of the request is read from verified facts, or asked for if it is
//!    [async](Key::custom_async), and hashed under the limiter's own secret. A request without one is refused (403, `ratelimit.no_key`) unless [`MissingKey`]
//!    says otherwise.
//! 2. The policies that apply are found. None: refused (403, `ratelimit.no_policy`).
//! 3. Each is asked by the generic cell rate algorithm: are there as many cells as the request
//!    costs? See [`Rate`] for what exactly that allows over a window.
//! 4. All say yes: the request is charged to all of them. One says no: it is charged to none, and
//!    refused (429, `ratelimit.exceeded`). What is refused costs nothing, however often it is
//!    tried: a client that keeps knocking gets its cells at the same pace as one that waits.
//! 5. `Retry-After` is the wait after which *all* policies would admit the same request, rounded
//!    up to seconds; gRPC gets it in milliseconds. What costs more than a full burst will never be
//!    admitted, and is told no time.
//! 6. A policy in shadow is counted by the same rules, is recorded as `would_have_denied`, and
//!    refuses nobody. It is not charged for what another policy refuses.
//! 7. Once the response's head is known, the charge is settled as
//!    [`with_settlement`](RateLimitConfigBuilder::with_settlement) says: kept, given back or
//!    raised.
//!
//! # Memory
//!
//! Each [`Policy`] has memory for a fixed number of keys, 18.3 bytes each, that is taken at build.
//! Nothing is allocated for a request, nothing sweeps, and no key is stored. When it is full, the
//! key that has spent least makes room: a flood of made-up keys, each of which has spent one
//! cell, pushes out its own kind, and an offender, who has spent all, stays held.
//! [`Limiter::occupancy`] tells how full it is, and how many live keys had to go.
//!
//! # Bans
//!
//! [`Bans`] shut somebody out for a while, twice as long each time; [`BanLayer`] looks at them
//! before anything else. They are bounded in number and in pace, and begin in shadow mode.
//!
//! # Load
//!
//! [`LoadLayer`] serves so many requests at once, each counted to the end of its response's body,
//! and sheds what is beyond instead of letting it queue. The [`LoadLimit`] may adapt itself to how
//! fast responses come, and keeps a part free for what is critical. [`DeadlineLayer`] ends what
//! takes too long.
//!
//! # Requests
//!
//! [`IntakeLayer`] refuses what is too large or of the wrong kind by its head. [`UploadLayer`]
//! looks at bodies while they are read, and keeps nothing of them: how large they are, how deep
//! and large as JSON, and how fast they come in. The layer answers, not the handler:
//!
//! ```
//! use bartizan_ratelimit::{UploadBody, UploadLayer, UploadRules};
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//!
//! // Objects and arrays two deep, with ten values and names in all.
//! let rules = UploadRules::builder().with_json(2, 10, 1_024).build()?;
//! let service = UploadLayer::new(rules).layer(service_fn(
//!     async |request: Request<UploadBody<Full<bytes::Bytes>>>| {
//!         let read = request.into_body().collect().await;
//!         Ok::<_, std::convert::Infallible>(Response::new(format!("{}", read.is_ok())))
//!     },
//! ));
//! let json = |body: &'static str| {
//!     let request = Request::post("/").header("content-type", "application/json");
//!     request.body(Full::from(body))
//! };
//! assert_eq!(service.clone().oneshot(json(r#"{"a":[1]}"#)?).await?.status(), 200);
//! assert_eq!(service.oneshot(json(r#"{"a":[[1]]}"#)?).await?.status(), 400);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Fleets
//!
//! Instances share their limits through a store: `RedisStore` (Redis or Valkey: one server, Sentinel
//! or cluster) or `EnvoyStore` (a service of Envoy's rate limit protocol). `SharedLimiter` says how
//! that decides. In short: Redis is charged ahead for callers that are busy, so that hardly any of
//! their requests needs a round trip, and over any window the fleet admits no more than the limit;
//! small limits are asked for one by one; no request waits longer than the deadline; and while the
//! store is away what each policy declares holds: this instance's share, nothing, or everything.
//! Decisions tell where they come from: `redis`, `envoy`, `lease`, `local` or `fallback`.
//!
//! ```
//! # #[cfg(feature = "redis")]
//! # fn config() -> Result<(), bartizan_ratelimit::ConfigError> {
//! use bartizan_ratelimit::{
//!     Fallback, FleetSecret, Key, Policy, Rate, RateLimitConfig, RedisStore, Sharing,
//! };
//!
//! // The same in every instance, from wherever secrets come from.
//! let secret = FleetSecret::new(*b"thirty-two bytes of real secrets")?;
//! let store = RedisStore::at("redis.internal:6379", secret)
//!     .with_credentials("limiter", "password")
//!     .build()?;
//! let config = RateLimitConfig::builder(Key::subject())
//!     .add_policy(Policy::new("burst", Rate::per_second(1_000)))
//!     .add_policy(Policy::new("sms", Rate::per_day(20)).with_fallback(Fallback::Closed))
//!     .with_store(store, Sharing::among(4))
//!     .build()?;
//! # let _ = config;
//! # Ok(())
//! # }
//! # #[cfg(feature = "redis")]
//! # config()?;
//! # Ok::<(), bartizan_ratelimit::ConfigError>(())
//! ```
//!
//! # Deployment notes
//!
//! What this layer does not protect against:
//!
//! * Many callers who each stay within their limit. That is what a limit on everybody, and load
//!   protection, are for.
//! * Callers who can choose their key. Count by what is proven; count strangers by address, and
//!   put that limit outside of what verifies tokens.
//! * More instances than one, unless they share their limits through a store: each counts for
//!   itself, and a fleet admits as many times the limit.
//! * An offender who returns only after the whole memory was turned over by a flood.
//!   [`Policy::with_newcomers`] bounds that.
//! * Connections that send nothing at all: that is for whatever listens.
//! * Routes that axum got after `.layer` was called: they are not guarded.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `coarse-clock` | the kernel's coarse clock on Linux: five times as fast, 4 ms less sharp |
//! | `envoy` | `EnvoyStore`: limits that a service of Envoy's protocol keeps |
//! | `redis` | `RedisStore`: limits that a fleet shares through Redis or Valkey |
//!
//! None is on by default.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bans;
mod body;
mod config;
mod deadline;
#[cfg(feature = "envoy")]
mod envoy;
mod error;
mod field;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gcra;
mod guard;
mod intake;
mod json;
mod key;
mod layer;
#[cfg(any(feature = "envoy", feature = "redis"))]
mod lease;
mod limiter;
mod load;
mod newcomers;
mod pace;
mod policy;
mod rate;
#[cfg(feature = "redis")]
mod redis;
mod service;
#[cfg(any(feature = "envoy", feature = "redis"))]
mod store;
mod sync;
mod table;
mod ticks;
mod time;
mod upload;
mod verdict;

pub use self::bans::{BanRefused, BanSubject, Bans, BansBuilder};
pub use self::body::UploadBody;
pub use self::config::{Fields, MissingKey, RateLimitConfig, RateLimitConfigBuilder, Settlement};
#[cfg(feature = "envoy")]
pub use self::envoy::EnvoyStore;
pub use self::error::{ConfigError, RateLimitError, RateLimitErrorKind};
pub use self::gcra::{Denied, Gcra};
pub use self::guard::{
    BanGuard, Deadline, DeadlineGuard, DeadlinePass, IntakeGuard, LoadGuard, LoadPass,
    RateLimitGuard, RateLimitInquiry, RateLimitPass, UploadGuard, UploadPass,
};
pub use self::intake::{IntakeRules, IntakeRulesBuilder};
pub use self::key::{Key, KeyWriter};
pub use self::layer::{
    BanLayer, Banned, DeadlineLayer, Deadlined, Intake, IntakeLayer, Load, LoadLayer, RateLimit,
    RateLimitLayer, Upload, UploadLayer,
};
pub use self::limiter::{Limiter, LimiterBuilder, Occupancy};
pub use self::load::{LoadLimit, LoadLimitBuilder, Priority};
pub use self::policy::Policy;
pub use self::rate::Rate;
#[cfg(feature = "redis")]
pub use self::redis::{FleetSecret, RedisStore, RedisStoreBuilder};
pub use self::service::Measured;
#[cfg(any(feature = "envoy", feature = "redis"))]
pub use self::store::{
    Fallback, SharedLimiter, SharedStatus, SharedVerdict, Sharing, Source, Store,
};
pub use self::ticks::Ticks;
pub use self::upload::{UploadRules, UploadRulesBuilder};
pub use self::verdict::{Denial, Verdict};

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
