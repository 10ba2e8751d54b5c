//! The layer in front of real services.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod conditions;
#[cfg(feature = "file")]
mod file;
mod hosts;
#[cfg(all(feature = "file", feature = "istio"))]
mod istio;
mod layer;
#[cfg(feature = "istio")]
mod network_policy;
mod paths;
mod requirements;
mod rules;
mod support;
