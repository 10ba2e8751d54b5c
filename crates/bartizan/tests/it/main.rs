//! All layers as one, in front of real services.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod keys;
mod stack;
