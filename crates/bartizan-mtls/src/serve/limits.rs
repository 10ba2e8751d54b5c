//! What one server allows, and what hyper is told of it.

use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::ending::EndConnection;

/// The least that hyper takes as the size of its HTTP/1.1 buffer.
const LEAST_HTTP1_BUFFER: usize = 8192;

/// The reasons are at the methods of `Serve`.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) header_read_timeout: Duration,
    pub(super) max_header_bytes: u32,
    pub(super) max_headers: usize,
    pub(super) max_concurrent_streams: u32,
    pub(super) max_pending_reset_streams: usize,
    pub(super) max_local_error_resets: usize,
    pub(super) keep_alive_interval: Duration,
    pub(super) keep_alive_timeout: Duration,
    pub(super) max_connection_age: Option<Duration>,
    pub(super) drain_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) on_expiry: EndConnection,
    pub(super) on_revocation: EndConnection,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            max_header_bytes: 16 * 1024,
            max_headers: 100,
            max_concurrent_streams: 200,
            max_pending_reset_streams: 20,
            max_local_error_resets: 1024,
            keep_alive_interval: Duration::from_secs(60),
            keep_alive_timeout: Duration::from_secs(20),
            max_connection_age: Some(Duration::from_secs(3600)),
            drain_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            on_expiry: EndConnection::Gracefully,
            on_revocation: EndConnection::Gracefully,
        }
    }
}

impl Limits {
    pub(super) fn http1(&self) -> http1::Builder {
        let buffer = usize::try_from(self.max_header_bytes).unwrap_or(usize::MAX);
        let mut builder = http1::Builder::new();
        builder
            // Without a timer the next line has no effect.
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout)
            .max_headers(self.max_headers)
            .max_buf_size(buffer.max(LEAST_HTTP1_BUFFER));
        builder
    }

    pub(super) fn http2(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(self.max_header_bytes)
            .max_concurrent_streams(self.max_concurrent_streams)
            .max_pending_accept_reset_streams(self.max_pending_reset_streams)
            .max_local_error_reset_streams(self.max_local_error_resets)
            .keep_alive_interval(self.keep_alive_interval)
            .keep_alive_timeout(self.keep_alive_timeout)
            // WebSockets over HTTP/2 (RFC 8441).
            .enable_connect_protocol();
        builder
    }
}
