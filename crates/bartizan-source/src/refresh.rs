//! Keeps a fetched value fresh, ahead of time.

mod ahead;
mod config;
mod engine;

pub use self::ahead::{Forced, RefreshAhead, Unavailable};
pub use self::config::RefreshAheadBuilder;
