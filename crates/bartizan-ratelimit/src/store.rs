//! Limits that a fleet shares.

mod breaker;
mod check;
mod conclude;
mod fallback;
mod seam;
mod settle;
mod shared;
mod sharing;
mod watch;

use std::fmt;
use std::sync::Arc;

pub(crate) use self::conclude::Concluded;
pub use self::fallback::Fallback;
pub(crate) use self::seam::{
    Answer, Answering, Ask, Charge, Facts, Keep, RemoteReceipt, Settle, Standing, StoreError,
    Subject, Way,
};
pub use self::shared::{SharedLimiter, SharedStatus, SharedVerdict};
pub use self::sharing::Sharing;

/// Where limits are kept that a fleet shares: made of a `RedisStore` (feature `redis`) or an
/// `EnvoyStore` (feature `envoy`).
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<dyn Keep>);

/// Where a verdict comes from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// From Envoy's rate limit service.
    Envoy,
    /// From what was declared for a store that does not answer.
    Fallback,
    /// From cells that the store has been charged for before.
    Lease,
    /// From what this instance knows: the store refused this subject lately, and would again.
    Local,
    /// From Redis or Valkey.
    Redis,
}

impl Source {
    /// A short stable name, fit for a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Fallback => "fallback",
            Self::Lease => "lease",
            Self::Local => "local",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
