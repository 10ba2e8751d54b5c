//! What is owed for a request that was admitted.

use std::fmt;

use bartizan_core::Pass;
use http::response;

use super::fields::Told;
use super::{Decided, RateLimitGuard};
use crate::config::Settlement;
#[cfg(any(feature = "envoy", feature = "redis"))]
use crate::store::Concluded;

/// What the layer still owes for a request that it let pass: to settle the charge, and to tell
/// how the caller stands. Nothing at all unless either was asked for.
///
/// What it tells is boxed: most limits tell nothing, and every request would carry its size.
pub struct RateLimitPass {
    told: Option<Box<Told>>,
    owed: Option<Box<Owed>>,
}

/// A charge that is to be settled.
pub(super) struct Owed {
    guard: RateLimitGuard,
    decided: Decided,
    #[cfg(any(feature = "envoy", feature = "redis"))]
    shared: Option<Concluded>,
}

impl Owed {
    pub(super) fn new(guard: RateLimitGuard, decided: Decided) -> Self {
        Self {
            guard,
            decided,
            #[cfg(any(feature = "envoy", feature = "redis"))]
            shared: None,
        }
    }

    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(super) fn shared(guard: RateLimitGuard, decided: Decided, concluded: Concluded) -> Self {
        let shared = Some(concluded);
        Self {
            guard,
            decided,
            shared,
        }
    }

    fn settle(self, response: &response::Parts) {
        let Self { guard, decided, .. } = self;
        let Some(settle) = &guard.0.rules.settlement else {
            return;
        };
        // By limits that a fleet shares, if it was them who decided.
        #[cfg(any(feature = "envoy", feature = "redis"))]
        if let (Some(concluded), Some(shared)) = (&self.shared, &guard.0.shared) {
            return match settle(response) {
                Settlement::Keep => {}
                Settlement::Refund => shared.limiter.refund(concluded),
                Settlement::Charge(more) => shared.limiter.owe(concluded, more),
            };
        }
        let limiter = guard.limiter();
        let active = limiter.active();
        let Decided {
            hash, cost, report, ..
        } = &decided;
        match settle(response) {
            Settlement::Keep => {}
            Settlement::Refund => active.refund(*hash, limiter.now(), *cost, report),
            Settlement::Charge(more) => active.owe(*hash, limiter.now(), more, report),
        }
    }
}

impl RateLimitPass {
    pub(super) fn nothing() -> Self {
        Self::new(None, None)
    }

    pub(super) fn new(told: Option<Box<Told>>, owed: Option<Box<Owed>>) -> Self {
        Self { told, owed }
    }
}

impl Pass for RateLimitPass {
    const MAY_CUT: bool = false;

    fn respond(&mut self, response: &mut response::Parts) {
        if let Some(owed) = self.owed.take() {
            owed.settle(response);
        }
        if let Some(told) = self.told.take() {
            told.write(&mut response.headers);
        }
    }
}

impl fmt::Debug for RateLimitPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitPass")
            .field("tells", &self.told.is_some())
            .field("owes", &self.owed.is_some())
            .finish()
    }
}
