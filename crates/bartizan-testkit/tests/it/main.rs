//! What the test kit makes, judged by others: webpki, x509-cert, rustls, ring, jsonwebtoken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should panic"
)]

mod authorization;
mod certificates;
mod echoes;
mod files;
mod handshakes;
mod hosts;
mod issuer;
mod revocation;
mod support;
mod tokens;
