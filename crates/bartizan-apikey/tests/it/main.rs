//! The layer in front of real services, with keys of real stores.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod credentials;
mod facts;
mod files;
mod layer;
mod secrecy;
mod sources;
mod streams;
mod support;
mod urls;
mod uses;
