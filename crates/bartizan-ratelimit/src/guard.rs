//! Decides about one request.

mod bans;
mod deadline;
mod fields;
mod inquiry;
mod intake;
mod load;
mod pass;
#[cfg(any(feature = "envoy", feature = "redis"))]
mod shared;
mod upload;

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Check, Decision, Duty, Guard, Inspection, Outcome as Conclusion, Rejection};

pub use self::bans::BanGuard;
pub use self::deadline::{Deadline, DeadlineGuard, DeadlinePass};
use self::fields::{Told, write_refusal};
pub use self::inquiry::RateLimitInquiry;
pub use self::intake::IntakeGuard;
pub use self::load::{LoadGuard, LoadPass};
use self::pass::Owed;
pub use self::pass::RateLimitPass;
pub use self::upload::{UploadGuard, UploadPass};
use crate::config::{Fields, MissingKey, RateLimitConfig, Rules};
use crate::error::{RateLimitError, RateLimitErrorKind};
use crate::key::Answers;
use crate::limiter::{Active, Limiter};
use crate::ticks::Ticks;
use crate::verdict::{Applicable, Denial, Outcome, Report, Verdict};

/// The hash that all requests without a key share. Any other key has it by chance alone, once in
/// eighteen quintillion.
const SHARED: u64 = 0;

/// The guard of a [`RateLimitLayer`](crate::RateLimitLayer), to be chained with others.
#[derive(Clone)]
pub struct RateLimitGuard(Arc<State>);

struct State {
    limiter: Limiter,
    duty: Duty,
    rules: Rules,
    admitted: Arc<str>,
    #[cfg(any(feature = "envoy", feature = "redis"))]
    shared: Option<self::shared::Shared>,
}

/// What is known of a request once it is decided.
#[derive(Clone, Copy, Debug)]
struct Decided {
    hash: u64,
    now: Ticks,
    cost: u64,
    report: Report,
}

impl RateLimitGuard {
    pub(crate) fn new(config: RateLimitConfig) -> Self {
        let RateLimitConfig {
            limiter,
            duty,
            rules,
            #[cfg(any(feature = "envoy", feature = "redis"))]
            shared,
        } = config;
        Self(Arc::new(State {
            limiter,
            duty,
            rules,
            admitted: "local".into(),
            #[cfg(any(feature = "envoy", feature = "redis"))]
            shared: shared.map(self::shared::Shared::new),
        }))
    }

    /// The limiter, to be asked how full its memory is, and to change rates.
    pub fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// The limiter that is shared with a fleet, if there is a store.
    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub fn shared(&self) -> Option<&crate::SharedLimiter> {
        self.0.shared.as_ref().map(|shared| &shared.limiter)
    }

    fn decide(
        &self,
        inspection: &mut Inspection<'_>,
        answers: Answers,
    ) -> Check<RateLimitPass, RateLimitInquiry> {
        let State { limiter, rules, .. } = &*self.0;
        let refuse = |kind| Check::Now(Err(RateLimitError::new(kind, None).into_rejection()));
        #[cfg(any(feature = "envoy", feature = "redis"))]
        let again = self.0.shared.as_ref().map(|_| answers.clone());
        let key = rules.key.hash(inspection, limiter.hasher(), answers);
        let hash = match (key, rules.missing) {
            (Some(hash), _) => hash,
            (None, MissingKey::Pass) => return Check::Now(Ok(RateLimitPass::nothing())),
            (None, MissingKey::Refuse) => return refuse(RateLimitErrorKind::NoKey),
            (None, MissingKey::Share) => SHARED,
        };
        let applicable = rules.applicable(inspection);
        if applicable == Applicable::NONE {
            return refuse(RateLimitErrorKind::NoPolicy);
        }
        let cost = rules.cost.as_ref().map_or(1, |cost| cost(inspection));
        #[cfg(any(feature = "envoy", feature = "redis"))]
        if let (Some(shared), Some(answers)) = (&self.0.shared, again) {
            return self.decide_shared(shared, inspection, (hash, applicable, cost), answers);
        }
        Check::Now(self.decide_alone(inspection, hash, applicable, cost))
    }

    fn decide_alone(
        &self,
        inspection: &mut Inspection<'_>,
        hash: u64,
        applicable: Applicable,
        cost: u64,
    ) -> Result<RateLimitPass, Rejection> {
        let State { limiter, .. } = &*self.0;
        let active = limiter.active();
        let mut decided = Decided {
            hash,
            now: limiter.now(),
            cost,
            report: Report::new(),
        };
        let Decided { now, report, .. } = &mut decided;
        let verdict = active.decide(hash, *now, cost, applicable, report);
        self.record_shadows(&active, inspection, report);
        match verdict {
            Verdict::Allowed => {
                inspection.note(Arc::clone(&self.0.admitted));
                Ok(self.pass(&active, decided, Owed::new))
            }
            Verdict::Denied(denial) => {
                if let Some(limit) = active.limits.get(denial.policy()) {
                    inspection.note(Arc::clone(&limit.note));
                }
                Err(self.refusal(&active, inspection, &decided, &denial))
            }
        }
    }

    /// What is owed for a request that was admitted, which mostly is nothing.
    fn pass(
        &self,
        active: &Active,
        decided: Decided,
        owe: impl FnOnce(Self, Decided) -> Owed,
    ) -> RateLimitPass {
        let rules = &self.0.rules;
        // As things stand now, and not when the response has come.
        let told = match rules.fields {
            Fields::None => None,
            fields => Some(Box::new(Told::new(fields, active, &decided, None))),
        };
        let settles = rules.settlement.is_some();
        let owed = settles.then(|| Box::new(owe(self.clone(), decided)));
        RateLimitPass::new(told, owed)
    }

    fn refusal(
        &self,
        active: &Active,
        inspection: &Inspection<'_>,
        decided: &Decided,
        denial: &Denial,
    ) -> Rejection {
        let kind = match denial.is_for_want_of_room() {
            true => RateLimitErrorKind::Crowded,
            false => RateLimitErrorKind::Exceeded,
        };
        let rejection = RateLimitError::new(kind, denial.wait()).into_rejection();
        let rules = &self.0.rules;
        write_refusal(
            rejection,
            inspection.protocol,
            rules.fields,
            active,
            decided,
            denial,
        )
    }

    /// Records what policies in shadow mode would have refused.
    fn record_shadows(&self, active: &Active, inspection: &Inspection<'_>, report: &Report) {
        for (index, limit) in active.limits.iter().enumerate() {
            if limit.policy.is_shadow() && matches!(report.of(index), Outcome::Refused { .. }) {
                let code = RateLimitError::new(RateLimitErrorKind::Exceeded, None).code();
                let decision = Decision::new(self.0.duty.layer(), Conclusion::WouldHaveDenied)
                    .with_code(code)
                    .with_detail(Arc::clone(&limit.note));
                self.0.duty.record(inspection, decision);
            }
        }
    }
}

impl Rules {
    fn applicable(&self, inspection: &Inspection<'_>) -> Applicable {
        if self.conditions.iter().all(Option::is_none) {
            return Applicable::ALL;
        }
        let mut applicable = Applicable::NONE;
        for (index, condition) in self.conditions.iter().enumerate() {
            if condition.as_ref().is_none_or(|holds| holds(inspection)) {
                applicable.add(index);
            }
        }
        applicable
    }
}

impl Guard for RateLimitGuard {
    type Pass = RateLimitPass;
    type Inquiry = RateLimitInquiry;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<RateLimitPass, RateLimitInquiry> {
        match self.0.rules.key.questions(inspection) {
            None => self.decide(inspection, Answers::default()),
            Some(questions) => Check::Later(RateLimitInquiry::of_key(self.clone(), questions)),
        }
    }
}

impl fmt::Debug for RateLimitGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitGuard")
            .field("limiter", &self.0.limiter)
            .field("rules", &self.0.rules)
            .field("duty", &self.0.duty)
            .finish_non_exhaustive()
    }
}
