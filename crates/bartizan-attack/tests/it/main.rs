//! A service that holds, and services that do not: the attacks have to prove that they can fail.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod report;
mod servers;
mod strong;
mod support;
mod weak;
