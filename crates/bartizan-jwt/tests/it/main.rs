//! The layer in front of real services, with tokens of a real issuer.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod attacks;
mod binding;
mod cache;
mod choices;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod claims;
mod credentials;
mod discovery;
mod facts;
mod files;
mod introspection;
mod keys;
mod layer;
mod outgoing;
mod proofs;
mod rotation;
mod rsa;
mod secrecy;
mod secrets;
mod streams;
mod support;
mod svids;
mod vectors;
