//! Shuts out who is banned.

use std::sync::Arc;

use bartizan_core::{
    Check, Decision, Duty, Enforcement, Guard, Inspection, Never, Observe, Outcome,
};

use crate::bans::{BanSubject, Bans, Judgement};
use crate::error::{RateLimitError, RateLimitErrorKind};

/// The banned are not told for how long: they would set their clocks by it.
const ERROR: RateLimitError = RateLimitError::new(RateLimitErrorKind::Banned, None);

/// The guard of a [`BanLayer`](crate::BanLayer), to be chained with others.
#[derive(Clone, Debug)]
pub struct BanGuard(Arc<State>);

#[derive(Debug)]
struct State {
    bans: Bans,
    duty: Duty,
}

impl BanGuard {
    pub(crate) fn new(bans: Bans) -> Self {
        let duty = Duty::new("bans").with_enforcement(Enforcement::Shadow);
        Self(Arc::new(State { bans, duty }))
    }

    pub(crate) fn with_enforcement(&self, enforcement: Enforcement) -> Self {
        self.with_duty(|duty| duty.with_enforcement(enforcement))
    }

    pub(crate) fn with_observer(&self, observer: Arc<dyn Observe>) -> Self {
        self.with_duty(|duty| duty.with_observer(observer))
    }

    fn with_duty(&self, change: impl FnOnce(Duty) -> Duty) -> Self {
        let State { bans, duty } = &*self.0;
        Self(Arc::new(State {
            bans: bans.clone(),
            duty: change(duty.clone()),
        }))
    }

    /// Who is banned.
    pub fn bans(&self) -> &Bans {
        &self.0.bans
    }

    /// Whether the address, the peer or the principal is banned, as far as they are known here.
    fn is_banned(&self, inspection: &Inspection<'_>) -> bool {
        let context = inspection.context;
        let address = context.address().map(BanSubject::address);
        let peer = context.peer().map(BanSubject::peer);
        let principal = context.principal().map(BanSubject::principal);
        [address, peer, principal]
            .iter()
            .flatten()
            .any(|subject| self.0.bans.remaining(subject).is_some())
    }
}

impl Guard for BanGuard {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        Check::Now(match self.0.bans.judge(|| self.is_banned(inspection)) {
            Judgement::Pass => Ok(()),
            Judgement::Refuse => Err(ERROR.into_rejection()),
            Judgement::Spare => {
                let duty = &self.0.duty;
                let decision = Decision::new(duty.layer(), Outcome::WouldHaveDenied);
                duty.record(inspection, decision.with_code(ERROR.code()));
                Ok(())
            }
        })
    }
}
