//! Least privilege as a tower layer: which peer and principal may call which route or gRPC method.
//!
//! # Quick start
//!
//! ```
//! use bartizan_authz::{AuthzLayer, Callers, Policy, Rule, Targets};
//! # use std::convert::Infallible;
//! # use bartizan_core::{Principal, Scheme, SecurityContext};
//! # use http::{Request, Response};
//! # use tower::{Layer as _, ServiceExt as _, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::builder()
//!     .add(
//!         Rule::allow("readers")
//!             .from(Callers::anybody().scope("orders:read"))
//!             .to(Targets::method("GET").path("/orders/{id}")),
//!     )
//!     .add(Rule::deny("not the audit").to(Targets::any_method("/orders/audit")))
//!     .build()?;
//! let layer = AuthzLayer::builder().with_policy(policy).build()?;
//! # let service = layer.layer(service_fn(async |_: Request<()>| {
//! #     Ok::<_, Infallible>(Response::new(String::new()))
//! # }));
//! # let ask = async |path: &str| {
//! #     let context = SecurityContext::new(path.parse().expect("a path"));
//! #     let alice = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice");
//! #     context.set_principal(alice.with_scopes(["orders:read"]).assert_verified()).expect("once");
//! #     let request = Request::get(path).extension(context).body(()).expect("a request");
//! #     service.clone().oneshot(request).await.expect("an answer").status()
//! # };
//!
//! // For alice, whose token has the scope:
//! assert_eq!(ask("/orders/7").await, 200);
//! assert_eq!(ask("/orders/audit").await, 403);
//! assert_eq!(ask("/orders/AUDIT/").await, 403);
//! // What no rule speaks of is refused, and what has two meanings.
//! assert_eq!(ask("/invoices/7").await, 403);
//! assert_eq!(ask("/orders/7/../audit").await, 400);
//! # Ok(())
//! # }
//! ```
//!
//! It stands inside of the layers that prove who calls (`bartizan-mtls`, `bartizan-jwt`), and
//! reads what they wrote into the request's context. The same policy can stand in a file, read
//! again whenever it changes (feature `file`): see `Policy::from_toml` and `PolicyFile`.
//!
//! What callers and requests cannot say of themselves, conditions on single facts can
//! ([`Condition`]): a header, a nested claim, the server name, the port that was connected to.
//!
//! A single route can ask for more, beside the policy: [`require_scope`], [`allow_peer`],
//! [`require`].
//!
//! # How it decides
//!
//! 1. A rule applies if one of its [`Callers`] and one of its [`Targets`] do. A rule without
//!    callers is about everybody, one without targets about every request.
//! 2. If a rule that denies applies, the request is refused, whatever else applies.
//! 3. If a rule that allows applies, it passes. Anything else is refused.
//! 4. Paths are those of the original URI, canonical: encoded separators, dot segments and empty
//!    segments are refused before any rule is asked, and routers that nest others change nothing.
//! 5. A denial catches every spelling that a service might take for the same path: case and a
//!    trailing slash make no difference to it. What is allowed is allowed as it is written, and
//!    as it was sent: a router leads `/%61dmin` elsewhere than `/admin`, so that both must be
//!    allowed, unless a table of routes ([`Entrance`](bartizan_core::Entrance)) tells that they lead
//!    to one place.
//! 6. What cannot be known, such as the client's address on a Unix socket, is held against the
//!    request: a rule that allows does not apply, and one that denies does.
//! 7. Each decision names the rule. In shadow, the layer or a single denial records what it would
//!    have refused. [`Policy::explain`] says what every rule lacks.
//!
//! # What it does not protect against
//!
//! * What handlers do with what the path names: that order 7 is alice's is for the handler.
//! * Proof. It believes the context: without a layer that proves peers and principals there are
//!   none, and rules about them do not apply.
//! * Hosts, ports, methods and headers are what the client wrote. The port that was connected to
//!   is a [fact](Fact::DestinationPort) of its own.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `cedar` | `CedarEngine`: policies in Cedar, validated when they are loaded; a policy that cannot be evaluated denies |
//! | `file` | policies as TOML, and a file that is read again when it changes |
//! | `istio` | `IstioImport`, `IstioExport` and `NetworkPolicyExport`: policies of Istio read and written, and network policies of Kubernetes |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod callers;
#[cfg(feature = "cedar")]
mod cedar;
mod condition;
mod config;
#[cfg(feature = "file")]
mod document;
mod engine;
mod error;
mod explain;
mod facts;
#[cfg(feature = "file")]
mod file;
mod guard;
mod index;
#[cfg(feature = "istio")]
mod istio;
mod layer;
#[cfg(feature = "istio")]
mod network_policy;
mod pattern;
mod policy;
mod require;
mod rule;
mod targets;

pub use self::callers::Callers;
#[cfg(feature = "cedar")]
pub use self::cedar::{CedarBuilder, CedarEngine, CedarError};
pub use self::condition::{Condition, Fact};
pub use self::config::{AuthzConfigBuilder, ConfigError};
pub use self::engine::{EngineError, LivePolicy, PolicyEngine, Ruling};
pub use self::error::{
    AMBIGUOUS_HOST, AMBIGUOUS_PATH, AuthzError, AuthzErrorKind, DENIED, ENGINE_FAILED,
    INSUFFICIENT_SCOPE, NO_POLICY, PolicyError, UNAUTHENTICATED,
};
pub use self::explain::{Explanation, Tried};
pub use self::facts::{Facts, ReadClaims, ReadHeaders};
#[cfg(feature = "file")]
pub use self::file::PolicyFile;
pub use self::guard::AuthzGuard;
#[cfg(feature = "istio")]
pub use self::istio::{
    ExportError, Exported, Imported, IstioError, IstioErrorKind, IstioExport, IstioImport, Note,
    Unmatched,
};
pub use self::layer::{Authz, AuthzLayer};
#[cfg(feature = "istio")]
pub use self::network_policy::NetworkPolicyExport;
pub use self::pattern::{HostPattern, PathPattern, PatternError};
pub use self::policy::{Policy, PolicyBuilder};
pub use self::require::{Require, RequireGuard, RequireLayer, allow_peer, require, require_scope};
pub use self::rule::{Effect, Rule};
pub use self::targets::Targets;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
