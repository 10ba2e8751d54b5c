//! The shared vocabulary of Bartizan, and the one guard that its layers are made of.
//!
//! Bartizan gives axum, tonic and hyper services their security as tower layers. This crate holds
//! what those layers have in common, so that each of them stays thin and all of them agree: who
//! is calling ([`Peer`], [`Principal`]), where a request's facts and decisions meet
//! ([`SecurityContext`]), how a refusal looks ([`Rejection`]), and the seam a layer is written on
//! ([`Guard`]). Services meet it through the other crates of the family; authors of layers use it
//! directly. It has no I/O, no cryptography and no runtime.
//!
//! Writing a service? Start at `bartizan-mtls` and `bartizan-jwt`; from here you need
//! [`Caller`], [`Peer`] and [`Principal`] in handlers, [`Connection`] and `AxumListener` when you
//! serve with axum, and `SecurityRequest` in tonic handlers.
//!
//! # Quick start
//!
//! Writing a layer? A guard is asked about each request. Everything else (recording the decision, shadow mode,
//! rendering for HTTP or gRPC, holding what it owes until the response has ended) is done here.
//!
//! ```
//! use bartizan_core::{
//!     Check, Code, Duty, Guard, GuardLayer, Inspection, Never, Rejection, RejectionKind,
//! };
//! use http::{Method, Request, Response};
//! use tower::{Layer as _, ServiceExt as _, service_fn};
//!
//! /// Lets readers pass and nobody else.
//! #[derive(Clone, Debug)]
//! struct ReadOnly(Duty);
//!
//! const WRITE: Code = Code::new("read_only.write");
//!
//! impl Guard for ReadOnly {
//!     type Pass = ();
//!     type Inquiry = Never;
//!
//!     fn duty(&self) -> Option<&Duty> {
//!         Some(&self.0)
//!     }
//!
//!     fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
//!         Check::Now(match inspection.parts.method {
//!             Method::GET | Method::HEAD => Ok(()),
//!             _ => Err(Rejection::new(RejectionKind::Forbidden, WRITE)),
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = service_fn(async |_: Request<String>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(String::from("hello")))
//! });
//! let guarded = GuardLayer::new(ReadOnly(Duty::new("read_only"))).layer(service);
//!
//! let read = Request::get("/").body(String::new())?;
//! assert_eq!(guarded.clone().oneshot(read).await?.status(), 200);
//!
//! let write = Request::post("/").body(String::new())?;
//! assert_eq!(guarded.oneshot(write).await?.status(), 403);
//! # Ok(())
//! # }
//! ```
//!
//! # How a request is decided
//!
//! 1. The outermost layer of the family creates the request's [`SecurityContext`] from what the
//!    listener knows of the [`Connection`]; its [`Entrance`] finds the client's address behind
//!    [`TrustedProxies`] and the route template in the [`RouteTable`], and refuses a path that has
//!    more than one meaning.
//! 2. The guard looks at the request's head and answers now, or later without holding anybody up.
//! 3. The verdict is recorded in the context as a [`Decision`], and told to whoever [`Observe`]s.
//! 4. A refusal is rendered by one table: problem details for HTTP, a trailers-only response for
//!    gRPC. In [`Enforcement::Shadow`] the request passes all the same.
//! 5. Whatever the guard still owes, its [`Pass`], is paid when the response's head is there and
//!    held until its body has ended. A pass may end a long response early, because the token or
//!    certificate it rests on has expired.
//!
//! # What it does not protect against
//!
//! * Whoever calls [`Peer::assert_verified`] or `Principal`'s `assert_verified` is believed.
//!   They are for listeners and authenticating layers; a service has no reason to call them.
//! * axum routes that are added after `.layer()` are not guarded. Wrap the finished router.
//! * A guard sees the head of a request, never its body.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `axum` | extractors for [`SecurityContext`], [`Peer`], [`Principal`] and [`Caller`]; [`Rejection`] as a response; `AxumListener` |
//! | `tonic` | the `SecurityRequest` trait on `tonic::Request`; [`Rejection`] as a `tonic::Status` |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod authenticators;
mod body;
mod chain;
mod challenge;
mod clock;
mod code;
mod connection;
mod context;
mod decision;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod demand;
mod duty;
mod entrance;
mod erasure;
mod event;
mod forwarded;
mod future;
mod guard;
mod layer;
mod optional;
mod pass;
mod peer;
mod principal;
mod protocol;
mod rejection;
mod route;
mod service;
mod spiffe_id;
mod spiffe_pattern;

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "tonic")]
mod tonic;

pub use self::address::{ForwardingHeader, IpNetwork, IpNetworkError, TrustedProxies, fold};
pub use self::authenticators::{
    Authenticator, Authenticators, AuthenticatorsInquiry, AuthenticatorsPass, Presented,
};
#[cfg(feature = "axum")]
pub use self::axum::AxumListener;
pub use self::body::{BodyCut, GuardBody, GuardBodyError};
pub use self::chain::{Chain, ChainInquiry, ChainPass};
pub use self::challenge::Challenge;
pub use self::clock::{Clock, MonotonicTime, SystemClock, WallTime};
pub use self::code::Code;
pub use self::connection::{Connection, DescribeConnection, Transport};
pub use self::context::{Authenticated, ContextConflict, SecurityContext};
pub use self::decision::{Decision, Enforcement, Outcome};
pub use self::duty::Duty;
pub use self::entrance::Entrance;
pub use self::erasure::{
    KeyRequest, KeyState, KeyringAnswer, KeyringUnavailable, Subject, SubjectKey, SubjectKeyring,
};
pub use self::event::{
    DecisionEvent, Event, LifecycleEvent, LifecycleKind, Observe, ObserveFn, observe_fn,
};
pub use self::forwarded::{Forwarded, ForwardedBy};
pub use self::future::GuardFuture;
pub use self::guard::{Check, Guard, Inquiry, Inspection, Never};
pub use self::layer::GuardLayer;
pub use self::optional::{OptionalInquiry, OptionalPass};
pub use self::pass::{Pass, Settled};
pub use self::peer::{Peer, PeerIdentity, VerifiedCertificate};
pub use self::principal::{Caller, Principal, PrincipalBuilder, Scheme};
pub use self::protocol::Protocol;
pub use self::rejection::{Rejection, RejectionBody, RejectionKind};
pub use self::route::{CanonicalPath, PathError, RouteTable, RouteTableError};
pub use self::service::Guarded;
pub use self::spiffe_id::{SpiffeId, SpiffeIdError, TrustDomain};
pub use self::spiffe_pattern::SpiffePattern;
#[cfg(feature = "tonic")]
pub use self::tonic::SecurityRequest;

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
