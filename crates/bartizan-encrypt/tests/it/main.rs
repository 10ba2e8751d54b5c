//! Keys that rotate, places that differ, people who are forgotten.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod attacks;
mod derived;
mod documents;
mod keys;
mod layer;
mod migration;
mod providers;
mod search;
mod secrecy;
mod stage;
mod support;
mod tokens;
mod values;
