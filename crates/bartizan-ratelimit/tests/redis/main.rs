//! Limits that are shared through real servers.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do, and say what they have measured"
)]

mod arithmetic;
mod cluster;
mod facts;
mod faults;
mod layer;
mod proxy;
mod sentinel;
mod server;
mod settle;
mod share;
mod support;
mod tls;
