//! What OpenTelemetry gets.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod instruments;
mod spans;
