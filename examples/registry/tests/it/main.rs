//! The registry between real sockets: workloads with certificates, and some who would be others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should panic"
)]

mod attack;
mod changes;
mod ownership;
mod record;
mod support;
