//! What Prometheus sees.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod allocations;
mod bounds;
mod dashboards;
mod decisions;
mod lifecycle;
mod process;
mod requests;
mod scrape;
mod secrets;
