//! Decides about one request by limits that a fleet shares.

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::Guard;
use bartizan_core::{Check, Inspection, Rejection};

use super::pass::Owed;
use super::{Decided, RateLimitGuard, RateLimitInquiry, RateLimitPass, SHARED};
use crate::error::{RateLimitError, RateLimitErrorKind};
use crate::key::{Answers, KeyFacts};
use crate::limiter::Active;
use crate::store::{Concluded, SharedLimiter, Source};
use crate::verdict::{Applicable, Verdict};

/// What comes of asking a store.
pub(super) type Asking = Pin<Box<dyn Future<Output = Concluded> + Send>>;

/// A shared limiter, and what decisions say of its admissions, made once.
pub(super) struct Shared {
    pub(super) limiter: SharedLimiter,
    store: Arc<str>,
    lease: Arc<str>,
    fallback: Arc<str>,
}

impl Shared {
    pub(super) fn new(limiter: SharedLimiter) -> Self {
        Self {
            store: limiter.store().source().as_str().into(),
            limiter,
            lease: Source::Lease.as_str().into(),
            fallback: Source::Fallback.as_str().into(),
        }
    }

    /// The policies that have decided.
    pub(super) fn active(&self, source: Source) -> Guard<Arc<Active>> {
        self.limiter.active_of(source)
    }

    fn note(&self, source: Source) -> Arc<str> {
        Arc::clone(match source {
            Source::Fallback => &self.fallback,
            Source::Lease => &self.lease,
            _ => &self.store,
        })
    }
}

impl RateLimitGuard {
    pub(super) fn decide_shared(
        &self,
        shared: &Shared,
        inspection: &mut Inspection<'_>,
        (hash, applicable, cost): (u64, Applicable, u64),
        answers: Answers,
    ) -> Check<RateLimitPass, RateLimitInquiry> {
        let limiter = &shared.limiter;
        if let Some(concluded) = limiter.at_once(hash, applicable, cost) {
            return Check::Now(self.conclude_shared(inspection, concluded));
        }
        let has_key = hash != SHARED;
        let facts = KeyFacts::new(&self.0.rules.key, inspection, answers, has_key);
        let subject = limiter.store().subject(&facts);
        let limiter = limiter.clone();
        let asking = Box::pin(async move { limiter.ask(hash, subject, applicable, cost).await });
        Check::Later(RateLimitInquiry::of_store(self.clone(), asking))
    }

    pub(super) fn conclude_shared(
        &self,
        inspection: &mut Inspection<'_>,
        concluded: Concluded,
    ) -> Result<RateLimitPass, Rejection> {
        let Some(shared) = &self.0.shared else {
            return Ok(RateLimitPass::nothing());
        };
        let source = concluded.source;
        let active = shared.active(source);
        self.record_shadows(&active, inspection, &concluded.report);
        let decided = Decided {
            hash: concluded.hash,
            now: concluded.now,
            cost: concluded.cost,
            report: concluded.report,
        };
        match concluded.verdict {
            Some(Verdict::Allowed) => {
                inspection.note(shared.note(source));
                let owe = |guard, decided| Owed::shared(guard, decided, concluded);
                Ok(self.pass(&active, decided, owe))
            }
            Some(Verdict::Denied(denial)) => {
                if let Some(limit) = active.limits.get(denial.policy()) {
                    inspection.note(match source {
                        // What is refused again and again is refused without allocating.
                        Source::Local => Arc::clone(&limit.note),
                        _ => format!("{source}: {}", limit.policy.name()).into(),
                    });
                }
                Err(self.refusal(&active, inspection, &decided, &denial))
            }
            None => {
                inspection.note(shared.note(source));
                let kind = RateLimitErrorKind::StoreUnavailable;
                Err(RateLimitError::new(kind, None).into_rejection())
            }
        }
    }
}
