//! Keeps a fetched value fresh, ahead of time.

mod ahead;
mod config;

pub use self::ahead::{Forced, RefreshAhead, Unavailable};
pub use self::config::RefreshAheadBuilder;
