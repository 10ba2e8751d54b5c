//! Integration tests: the rules on certificates from a real authority, and real sockets.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and a test binary has no interface"
)]

#[cfg(feature = "axum")]
mod axum_host;
mod client_config;
mod connector;
#[cfg(feature = "aws-lc-rs")]
mod crypto;
#[cfg(feature = "spiffe-bundle")]
mod federation;
mod files;
#[cfg(feature = "serve")]
mod floods;
mod forwarded;
mod handshakes;
mod hostile;
mod layer;
mod leases;
mod modes;
mod pathological;
mod proxied;
mod resumption;
mod revocation;
mod rotation;
#[cfg(feature = "serve")]
mod rotation_under_load;
#[cfg(feature = "serve")]
mod serve;
mod support;
mod svid;
#[cfg(feature = "tonic")]
mod tonic_host;
#[cfg(feature = "workload-api")]
mod workload_api;
