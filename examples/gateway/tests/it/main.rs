//! The gateway between real sockets: callers in front, services behind, attackers among them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should panic"
)]

mod attack;
mod calls;
mod configuration;
mod failures;
mod grpc;
mod identity;
mod other_languages;
mod requests;
mod rollout;
mod shutdown;
mod silence;
mod smuggling;
mod streaming;
mod support;
mod websocket;
