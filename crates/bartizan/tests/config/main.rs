//! The configuration file: what it says, what it puts in force, and what is published about it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod documents;
mod encryption;
mod kept;
mod keys;
#[cfg(feature = "prometheus")]
mod metrics;
mod published;
mod reload;
mod sample;
mod service;
mod sinks;
#[cfg(feature = "witness")]
mod witnesses;
