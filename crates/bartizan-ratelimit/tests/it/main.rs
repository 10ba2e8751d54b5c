//! The layer in front of real services, and limits against published traces.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod bans;
mod deadline;
mod facts;
mod fields;
mod intake;
mod keys;
mod layer;
mod limiter;
mod load;
mod support;
mod upload;
