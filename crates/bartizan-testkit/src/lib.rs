//! Certificates, tokens, time and hosts for testing services that Bartizan guards.
//!
//! A test of a guarded service needs a certificate authority, an issuer of tokens, a clock that it
//! can move, and a host to put the service in. This crate has them, all real: certificates that
//! any TLS library reads, tokens that any JOSE library verifies, an issuer behind a TLS socket. For
//! each right thing it also makes the wrong ones, because what a guard refuses is what it is for.
//!
//! # Quick start
//!
//! What a guarded service needs to run on a developer's machine: PEM files and an issuer.
//!
//! ```
//! use bartizan_testkit::{DevelopmentCa, SigningAlgorithm, TokenIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("bartizan-testkit-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! // ca.pem, orders.pem and orders-key.pem, web.pem and web-key.pem
//! let ca = DevelopmentCa::new("example.org")?;
//! ca.write_pem(&folder, "ca")?;
//! ca.workload("/orders")?.write_pem(&folder, "orders")?;
//! ca.workload("/web")?.write_pem(&folder, "web")?;
//!
//! // OIDC discovery and a key set, over TLS with a certificate of the same authority. A service
//! // believes it with `JwtConfig::builder(rules).with_roots(Roots::from_pem(&ca_pem)?)`.
//! let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256).await?;
//! let token = issuer.token().subject("alice").audience("orders").scope("orders:read").sign()?;
//! assert!(issuer.issuer().starts_with("https://127.0.0.1:"));
//! # assert_eq!(token.matches('.').count(), 2);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! And what its tests need: the wrong ones, a clock that moves, and every host.
//!
//! ```
//! use bartizan_testkit::{
//!     Call, DevelopmentCa, Host, ManualClock, OldKey, SigningAlgorithm, TokenMint, forge,
//! };
//! use tower::layer::util::Identity;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), bartizan_testkit::TestkitError> {
//! // A certificate with two identities.
//! let ca = DevelopmentCa::new("example.org")?;
//! let ambiguous = ca.leaf().add_uri("spiffe://example.org/a").add_uri("spiffe://example.org/b");
//! let ambiguous = ambiguous.issue()?;
//!
//! // Two forged tokens.
//! let clock = ManualClock::default();
//! let mint = TokenMint::new("https://issuer.example", SigningAlgorithm::Es256, clock.clone())?;
//! let good = mint.token().subject("alice").audience("orders");
//! let unsigned = good.unsigned("none");
//! let tampered = forge::tampered_claim(&good.sign()?, "sub", "admin")?;
//! mint.rotate(OldKey::Remove)?;
//!
//! // One layer (`Identity` stands for yours) before an echo on axum, tonic and hyper.
//! let call = Call::echo("hello").with_bearer(&good.sign()?)?;
//! for host in Host::WITHOUT_SOCKETS {
//!     let answer = host.send(&Identity::new(), &call).await?;
//!     assert!(answer.is_success());
//! }
//! # let _ = (ambiguous, unsigned, tampered);
//! # Ok(())
//! # }
//! ```
//!
//! # What is here
//!
//! | for | use |
//! |---|---|
//! | certificates, chains, CRLs, PEM files | [`DevelopmentCa`], [`LeafBuilder`], [`IssuedCertificate`] |
//! | TLS peers that are not Bartizan | [`tls`] |
//! | keys | [`PrivateKey`] of certificates, [`SigningKey`] of tokens, [`RsaKey`] |
//! | tokens, right and forged | [`TokenMint`], [`TokenBuilder`], [`forge`] |
//! | discovery, key set, token and introspection endpoints over TLS, with faults | [`TokenIssuer`], [`Endpoint`], [`Fault`] |
//! | time | [`ManualClock`] |
//! | a service that says what it saw | [`HttpEcho`], [`echo_router`], [`GrpcEcho`] |
//! | a PostgreSQL server | `PostgresServer` (feature `postgres`) |
//! | a SPIFFE agent on a unix socket | `WorkloadApiAgent` (feature `workload-api`) |
//! | the same test on every host | [`Host`], [`Call`], [`Answer`] |
//!
//! # How it decides
//!
//! 1. A builder that is told nothing yields the good thing: an X509-SVID, an access token of
//!    [RFC 9068]. Each call makes one thing different.
//! 2. Nothing is validated. What a builder is told is what it writes, right or wrong.
//! 3. Time comes from a [`Clock`](bartizan_core::Clock) or a reference time that the test chose;
//!    [`DevelopmentCa::new`] and [`TokenIssuer::start`] choose the system's.
//! 4. Nothing is process-wide: no installed provider, no shared keys. What tests want to share,
//!    they share themselves (a `OnceLock` of an [`RsaKey`], say). Of the environment, only the
//!    search for servers reads something.
//! 5. Sockets are on loopback, on ports that the system picks.
//!
//! # What it does not protect
//!
//! Anything. Private keys stay in memory and are not wiped, RSA keys are made without regard to
//! timing, and [`tls::dangerous_client_config`] believes any name. Use it in tests and on
//! developers' machines, as a dev-dependency.
//!
//! RSA keys are slow to make where `num-bigint` is built without optimisation; see [`RsaKey`].
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `postgres` | `PostgresServer`: a PostgreSQL for a test, if one is installed (Unix) |
//! | `workload-api` | `WorkloadApiAgent`: a SPIFFE agent on a unix socket |
//!
//! They are off by default.
//!
//! [RFC 9068]: https://www.rfc-editor.org/rfc/rfc9068#section-2
#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
mod ca;
mod certificate;
mod clock;
mod der;
mod echo;
mod error;
mod extension;
mod fault;
pub mod forge;
mod host;
mod issuer;
mod leaf;
mod mint;
#[cfg(feature = "postgres")]
mod postgres;
mod private_key;
mod proof;
mod rsa;
mod signing_key;
pub mod tls;
mod token;
#[cfg(feature = "workload-api")]
mod workload_api;

pub use algorithm::SigningAlgorithm;
pub use ca::{CaBuilder, DevelopmentCa};
pub use certificate::IssuedCertificate;
pub use clock::ManualClock;
pub use echo::{EchoBody, GrpcEcho, GrpcEchoClient, HttpEcho, context_json, echo_router};
pub use error::TestkitError;
pub use extension::KeyUsage;
pub use fault::Fault;
pub use host::{Answer, Call, Host, HostLayer, HostService};
pub use issuer::{Endpoint, IssuerBuilder, TokenIssuer};
pub use leaf::{ExtendedKeyUsage, LeafBuilder};
pub use mint::{OldKey, TokenMint};
#[cfg(feature = "postgres")]
pub use postgres::PostgresServer;
pub use private_key::{KeyKind, PrivateKey};
pub use proof::ProofBuilder;
pub use rsa::RsaKey;
pub use signing_key::SigningKey;
pub use token::TokenBuilder;
#[cfg(feature = "workload-api")]
pub use workload_api::{WorkloadApiAgent, WorkloadUpdate};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
