//! Sources at work: on a real file system, over real sockets, in paused time.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod atomic;
#[cfg(feature = "https")]
mod fetch;
mod files;
mod refresh;
mod support;
#[cfg(feature = "https")]
mod tls_server;
