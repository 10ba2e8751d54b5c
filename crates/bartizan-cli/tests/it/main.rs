//! The program as it is run: what it prints, what it makes, and with which code it ends.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod apikey;
mod attack;
mod audit;
mod audit_work;
mod check;
mod keys;
mod policy;
mod support;
