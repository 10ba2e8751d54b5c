//! Limits that a real server of Envoy's rate limit protocol keeps.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod answers;
mod service;
