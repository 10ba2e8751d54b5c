//! What is owed for a request that was admitted.

use std::fmt;

use bartizan_core::Pass;
use http::response;

use super::fields::write_standing;
use super::{Decided, RateLimitGuard};
use crate::config::Settlement;

/// What the layer still owes for a request that it let pass: to settle the charge, and to tell
/// how the caller stands. Nothing at all unless either was asked for.
pub struct RateLimitPass(Option<Box<Owed>>);

pub(super) struct Owed {
    guard: RateLimitGuard,
    decided: Decided,
}

impl Owed {
    pub(super) fn new(guard: RateLimitGuard, decided: Decided) -> Self {
        Self { guard, decided }
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
        let Owed { guard, decided } = *owed;
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
