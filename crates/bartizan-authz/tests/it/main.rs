//! The layer in front of real services.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[cfg(feature = "file")]
mod file;
mod layer;
mod paths;
mod requirements;
mod rules;
mod support;
