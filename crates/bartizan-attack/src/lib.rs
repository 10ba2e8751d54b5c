//! More than seven hundred named attacks on a service of your own, to be run in its tests.
//!
//! A service says in its tests that a good request is accepted. This crate asks for the rest: that
//! what is nearly good is not. Each attack has a name, a promise that a service which holds keeps,
//! and a control request that has to be accepted, so that a refusal never means that the test was
//! broken.
//!
//! # Quick start
//!
//! Any `tower` service, in a test of your own:
//!
//! ```
//! use axum::Router;
//! use axum::extract::Request;
//! use axum::http::StatusCode;
//! use axum::middleware::{Next, from_fn};
//! use axum::response::{IntoResponse as _, Response};
//! use axum::routing::get;
//! use bartizan_attack as attack;
//! use bartizan_attack::Target;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // Your service; this one has a secret for a lock.
//! async fn lock(request: Request, next: Next) -> Response {
//!     let keys = request.headers().get_all("authorization").iter();
//!     match keys.eq(["Bearer secret"]) {
//!         true => next.run(request).await,
//!         false => StatusCode::UNAUTHORIZED.into_response(),
//!     }
//! }
//! let service = Router::new().route("/orders", get(async || "lamp")).layer(from_fn(lock));
//!
//! let target = Target::get("/orders").with_bearer("secret");
//! let report = attack::run(service).with_target(target).await;
//! report.assert_none_got_in();
//!
//! // What more could be run, and what for: the report says so.
//! assert!(report.to_string().contains("the issuer's key (Target::with_signer)"));
//! # }
//! ```
//!
//! A service that somebody left open is caught:
//!
//! ```
//! # use axum::Router;
//! # use axum::routing::get;
//! # use bartizan_attack as attack;
//! # use bartizan_attack::Target;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let open = Router::new().route("/orders", get(async || "lamp"));
//! let target = Target::get("/orders").with_bearer("secret");
//! let report = attack::run(open).with_target(target).await;
//! let found: Vec<_> = report.findings().map(|finding| finding.name).collect();
//! assert!(found.contains(&"token.absent"));
//! # }
//! ```
//!
//! A service behind a URL, over mutual TLS, with everything that helps ([`run_at`]): certificates
//! that are nearly right, bytes that no types let through, frames of HTTP/2.
//!
//! ```no_run
//! use bartizan_attack as attack;
//! use bartizan_attack::{Authority, Remote, Signer, Target};
//!
//! # async fn test(signer: Signer, [ca, ca_key, web, web_key]: [&str; 4]) -> Result<(), attack::GivenError> {
//! let remote = Remote::new("https://127.0.0.1:8443")?
//!     .with_roots(ca)?
//!     .with_certificate(web, web_key)?
//!     .with_authority(Authority::from_pem(ca, ca_key)?);
//! let target = Target::get("/orders/7")
//!     .with_signer(signer)
//!     .with_open_path("/healthz")
//!     .with_forbidden("DELETE", "/orders/7");
//! attack::run_at(remote).with_target(target).await.assert_none_got_in();
//! # Ok(())
//! # }
//! ```
//!
//! From the shell, the same is `bartizan attack https://127.0.0.1:8443/orders/7`, of `bartizan-cli`.
//!
//! # What is attacked
//!
//! | class | for example |
//! |---|---|
//! | [`Tokens`](Class::Tokens) | `alg: none`, keys that the token brings along, claims of the wrong type, two tokens, a token in the query, proofs of possession |
//! | [`Certificates`](Class::Certificates) | none, a stranger's, expired, for servers, with two names, and headers that claim one |
//! | [`Headers`](Class::Headers) | identities and addresses that a client claims, names and values that are none |
//! | [`Bodies`](Class::Bodies) | JSON a hundred thousand levels deep, bombs, lengths that differ, messages of gRPC |
//! | [`Protocol`](Class::Protocol) | requests in requests, frames and pseudo-headers of HTTP/2, spellings of paths, methods |
//! | [`Order`](Class::Order) | what refusals tell, ways from an open route into a closed one, ways around a limit |
//!
//! [`attacks`] lists them, each with a sentence and where its weakness is written down.
//!
//! # How it decides
//!
//! 1. An attack is built from what the [`Target`] (and [`Remote`]) give. What is missing is named, and
//!    the attack is reported as [not run](Verdict::NotRun), never as passed.
//! 2. Its control request is made in the same way, with nothing wrong in it. If the service does not
//!    accept it, nothing is known: [unjudged](Verdict::Unjudged).
//! 3. Its shots are sent, each by itself. Success where a refusal was promised, a failure of the
//!    service (5xx but 501 and 505, a panic, no answer to a good request) or what was planted coming
//!    back is a [finding](Verdict::Finding).
//! 4. The control request is made again. If the service fails it, that is a finding as well.
//! 5. Who was told to wait (429, or `RESOURCE_EXHAUSTED` with a time to wait) waits, and asks again.
//!
//! # What it does not tell
//!
//! * That a service is safe. It tells that these attacks do not get in by this request. Authorization
//!   is yours to know: give it a request that is [forbidden](Target::with_forbidden), and write tests.
//! * How a service bears load. No attack sends more than a few megabytes.
//! * What an attacker sees on the way: TLS itself is the library's.
//!
//! # Deployment notes
//!
//! Attack test instances, with keys and authorities made for the test: tokens and certificates are
//! made here that such a service believes. Hosts other than this machine are attacked only if they
//! are [named](Remote::elsewhere). The control request is made some hundred times, and some attacks
//! send it by `POST`, `PUT` and `DELETE`.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod attack;
mod authority;
mod bodies;
mod carrier;
mod certificates;
mod der;
mod draft;
mod error;
mod given;
mod headers;
mod keys;
mod leaf;
mod order;
mod payload;
mod pem;
mod protocol;
mod remote;
mod report;
mod run;
mod signer;
mod table;
mod target;
mod token;
mod tokens;
mod volley;
mod wire;

pub use attack::{Attack, Class, Promise, attacks};
pub use authority::Authority;
pub use error::GivenError;
pub use payload::Payload;
pub use remote::Remote;
pub use report::{Counts, Entry, Report, Verdict};
pub use run::{Run, run, run_at};
pub use signer::Signer;
pub use target::Target;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
