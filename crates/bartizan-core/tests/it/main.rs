//! The guard on every host that it is made for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should panic"
)]

mod authenticators;
mod cancel;
mod chain;
mod cut;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod demands;
mod disconnect;
mod facts;
mod hosts;
mod observe;
mod order;
mod permits;
mod render;
mod sockets;
mod support;
mod upgrade;
mod vocabulary;
