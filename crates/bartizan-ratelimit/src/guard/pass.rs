//! What is owed for a request that was admitted.

use std::fmt;

use bartizan_core::Pass;
use http::response;

use super::fields::write_standing;
use super::{Decided, RateLimitGuard};
use crate::config::Settlement;
#[cfg(any(feature = "envoy", feature = "redis"))]
use crate::store::Concluded;

/// What the layer still owes for a request that it let pass: to settle the charge, and to tell
/// how the caller stands. Nothing at all unless either was asked for.
pub struct RateLimitPass(Option<Box<Owed>>);

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

    /// Settles by limits that a fleet shares, if it was them who decided.
    #[cfg(any(feature = "envoy", feature = "redis"))]
    fn respond_shared(&self, response: &mut response::Parts) -> bool {
        let (Some(concluded), Some(shared)) = (&self.shared, &self.guard.0.shared) else {
            return false;
        };
        let rules = &self.guard.0.rules;
        match rules.settlement.as_ref().map(|settle| settle(response)) {
            None | Some(Settlement::Keep) => {}
            Some(Settlement::Refund) => shared.limiter.refund(concluded),
            Some(Settlement::Charge(more)) => shared.limiter.owe(concluded, more),
        }
        let active = shared.active(concluded.source);
        write_standing(&mut response.headers, rules.fields, &active, &self.decided);
        true
    }
}

impl RateLimitPass {
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    pub(super) fn owing(owed: Owed) -> Self {
        Self(Some(Box::new(owed)))
    }
}

impl Pass for RateLimitPass {
    fn respond(&mut self, response: &mut response::Parts) {
        let Some(owed) = self.0.take() else {
            return;
        };
        #[cfg(any(feature = "envoy", feature = "redis"))]
        if owed.respond_shared(response) {
            return;
        }
        let Owed { guard, decided, .. } = *owed;
        let rules = &guard.0.rules;
        let limiter = guard.limiter();
        let active = limiter.active();
        if let Some(settle) = &rules.settlement {
            let Decided {
                hash, cost, report, ..
            } = &decided;
            match settle(response) {
                Settlement::Keep => {}
                Settlement::Refund => active.refund(*hash, limiter.now(), *cost, report),
                Settlement::Charge(more) => active.owe(*hash, limiter.now(), more, report),
            }
        }
        // As things stood when the request was admitted.
        write_standing(&mut response.headers, rules.fields, &active, &decided);
    }
}

impl fmt::Debug for RateLimitPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitPass")
            .field("owes", &self.0.is_some())
            .finish()
    }
}
