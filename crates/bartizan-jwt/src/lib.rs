//! Draft.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
mod base64url;
mod bearer;
mod claims;
mod config;
mod discovery;
mod ed25519;
mod error;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod extract;
mod guard;
mod header;
mod issuer;
mod json;
mod key;
mod key_set;
mod key_source;
mod layer;
mod rules;
#[cfg(test)]
mod testing;
mod token;
mod verify;

pub use bartizan_source::{HttpsFetcher, Roots, Status};

pub use self::algorithm::{Algorithm, AlgorithmSet, UnsupportedAlgorithm};
pub use self::config::{JwtConfig, JwtConfigBuilder};
pub use self::error::{ConfigError, JwtError, JwtErrorKind};
#[cfg(feature = "axum")]
pub use self::extract::Claims;
#[cfg(feature = "tonic")]
pub use self::extract::ClaimsRequest;
pub use self::guard::{JwtGuard, JwtInquiry};
pub use self::issuer::Issuer;
pub use self::key::{KeyProblem, Thumbprint, VerificationKey};
pub use self::key_set::{KeyNotice, KeySet, KeySetError};
pub use self::layer::{Jwt, JwtLayer};
pub use self::rules::{Rules, RulesBuilder};
pub use self::token::{VerifiedClaims, VerifiedToken};
pub use self::verify::{verify, verify_signature};
