//! Security for axum, tonic and hyper services, as tower layers: one name for the family.
//!
//! Each concern of the family is a crate of its own, and a module here behind the feature of the
//! same name. Nothing is on by default but [`core`], the vocabulary that they share: who is
//! calling, what was decided, how a refusal looks. Layers compose in any service that speaks
//! `tower`; what one of them proves, the next reads.
//!
//! # Quick start
//!
//! ```sh
//! # From a clone beside your project: it is not published yet.
//! cargo add --path ../bartizan/crates/bartizan --features axum,jwt,ratelimit,authz
//! ```
//!
//! A service that takes tokens of one issuer, ten requests a second from one address, and lets
//! nobody in but whom a rule allows:
//!
//! ```no_run
//! # #[cfg(all(feature = "jwt", feature = "axum", feature = "authz", feature = "ratelimit"))]
//! # mod app {
//! use axum::{Router, routing::get};
//! use bartizan::authz::{Callers, Policy, Rule};
//! use bartizan::jwt::Rules;
//! use bartizan::prelude::*;
//! use bartizan::ratelimit::{Key, Policy as Limit, Rate};
//!
//! async fn app() -> Result<Router, Box<dyn std::error::Error>> {
//!     // Whose tokens, and for whom: the keys are found by the issuer's name, and kept fresh.
//!     let issuer = Rules::builder("https://issuer.example", "orders").build()?;
//!     let tokens = JwtLayer::load(JwtConfig::builder(issuer).build()?).await?;
//!     // How often one address may ask, whatever its token is worth.
//!     let limit = Limit::new("address", Rate::per_second(10).with_burst(50));
//!     let limit = RateLimitConfig::builder(Key::address()).add_policy(limit).build()?;
//!     // What no rule allows is refused.
//!     let readers = Rule::allow("readers").from(Callers::anybody().scope("orders:read"));
//!     let rules = AuthzLayer::builder().with_policy(Policy::builder().add(readers).build()?);
//!
//!     let stack = Stack::new()
//!         .with_tokens(&tokens)
//!         .with_address_limit(&RateLimitLayer::new(limit))
//!         .with_rules(&rules.build()?);
//!     Ok(Router::new().route("/orders", get(orders)).layer(stack))
//! }
//!
//! /// Who asks is an argument; without a valid token nobody gets here.
//! async fn orders(principal: Principal) -> String {
//!     format!("orders of {}", principal.subject())
//! }
//! # }
//! ```
//!
//! Serve it with `into_make_service_with_connect_info::<Connection>()`, so that the layers know
//! from which address a request comes. A request without a token is answered 401 with the code
//! `jwt.missing`, one whose token lacks the scope 403 with `authz.denied`, and one too many 429
//! with `ratelimit.exceeded`.
//!
//! What every layer does is the same, whichever it is: a refusal is one value, which is rendered
//! for HTTP or gRPC by one table.
//!
//! ```
//! use bartizan::core::{Code, Protocol};
//! use bartizan::prelude::*;
//!
//! let refusal = Rejection::new(RejectionKind::Forbidden, Code::new("orders.not_yours"));
//! assert_eq!(refusal.into_response(Protocol::Http).status(), 403);
//!
//! let refusal = Rejection::new(RejectionKind::Forbidden, Code::new("orders.not_yours"));
//! let response = refusal.into_response(Protocol::Grpc);
//! assert_eq!(response.headers()["grpc-status"], "7");
//! ```
//!
//! # How it decides
//!
//! It does not: layers do, and each module's documentation says how. [`Stack`] puts them in the one
//! order in which they protect a service: limits by address, the peer, the principal, what either
//! may do, and the fields of what they exchange.
//!
//! # What it does not protect against
//!
//! A layer guards what stands behind it, and nothing else: axum routes that are added after
//! `.layer()` are not guarded. What each layer leaves open is told in its own documentation.
//!
//! # Features
//!
//! | feature | gives | default |
//! |---|---|---|
//! | `apikey` | `apikey`: API keys, hashed, scoped and rotated | no |
//! | `audit` | `audit`: one record per request, in a log that nobody can quietly change | no |
//! | `authz` | `authz`: which callers may use which routes and gRPC methods | no |
//! | `encrypt` | `encrypt`: fields of structs and of JSON bodies, sealed and shown by scope | no |
//! | `jwt` | `jwt`: bearer, DPoP and certificate-bound tokens | no |
//! | `mtls` | `mtls`: TLS listener and connector with workload identity | no |
//! | `ratelimit` | `ratelimit`: limits, load protection, bans | no |
//! | `source` | `source`: files and URLs that are followed while they change | no |
//! | `telemetry` | `telemetry`: what layers decide and do, as Prometheus metrics | no |
//! | `config` | `config`: one file that fills the places of a [`Stack`], followed while it changes | no |
//! | `yaml` | the same file in YAML | no |
//! | `axum` | extractors and listeners for axum, in each module that has some | no |
//! | `tonic` | the same for tonic | no |
//! | `apikey-postgres` | `apikey` with keys in PostgreSQL | no |
//! | `audit-nats`, `audit-otlp`, `audit-postgres`, `audit-syslog` | `audit` with sinks there | no |
//! | `policy-file` | `authz` with policies in files | no |
//! | `istio` | `authz` with policies of Istio, read and written | no |
//! | `cedar` | `authz` with policies in Cedar | no |
//! | `coarse-clock` | `ratelimit` with the kernel's coarse clock on Linux | no |
//! | `aws-kms`, `pkcs11`, `vault` | `encrypt` with keys that are wrapped there | no |
//! | `otel`, `tracing` | `telemetry` for OpenTelemetry, and as `tracing` events | no |
//! | `prometheus` | `telemetry` with metrics that the configuration file answers with | no |
//! | `postgres` | `encrypt` with keys in PostgreSQL | no |
//! | `prost` | `encrypt` for fields of protobuf messages | no |
//! | `redis` | `ratelimit` with limits that a fleet shares | no |
//! | `serve` | `mtls` with a server for any hyper service | no |
//! | `spiffe-bundle` | `mtls` with trust bundles as JSON | no |
//! | `witness` | `audit` with witnesses over HTTPS | no |
//! | `workload-api` | `mtls` with the SPIFFE Workload API | no |
//!
//! Another crypto library (`aws-lc-rs`, `fips`) and Envoy's rate limit service (`envoy`) are features
//! of `bartizan-mtls`, `bartizan-jwt` and `bartizan-ratelimit` alone: name that crate beside this
//! one, with the feature, and its module here has it.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "config")]
pub mod config;
pub mod prelude;
mod stack;

#[cfg(feature = "apikey")]
pub use bartizan_apikey as apikey;
#[cfg(feature = "audit")]
pub use bartizan_audit as audit;
#[cfg(feature = "authz")]
pub use bartizan_authz as authz;
pub use bartizan_core as core;
#[cfg(feature = "encrypt")]
pub use bartizan_encrypt as encrypt;
#[cfg(feature = "jwt")]
pub use bartizan_jwt as jwt;
#[cfg(feature = "mtls")]
pub use bartizan_mtls as mtls;
#[cfg(feature = "ratelimit")]
pub use bartizan_ratelimit as ratelimit;
#[cfg(feature = "source")]
pub use bartizan_source as source;
#[cfg(feature = "telemetry")]
pub use bartizan_telemetry as telemetry;

pub use self::stack::{Stack, StackGuard};

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
