//! Two ways to authenticate, of which a request uses one.

mod inquiry;
mod other;
mod pass;

use crate::code::Code;
use crate::decision::Enforcement;
use crate::duty::{Duty, settle};
use crate::guard::{Check, Guard, Inspection};
use crate::pass::Settled;
use crate::rejection::{Rejection, RejectionKind};

pub use self::inquiry::AuthenticatorsInquiry;
pub(crate) use self::other::Other;
pub use self::pass::AuthenticatorsPass;

/// A request carries credentials for both authenticators of a service.
const TWO_CREDENTIALS: Code = Code::new("context.two_credentials");

/// A guard that names the principal, by a credential that the request carries.
pub trait Authenticator: Guard {
    /// Where the request carries a credential that this guard would look at, good or bad. It must
    /// find what [`check`](Guard::check) finds, or two credentials pass for one.
    fn presented(&self, inspection: &Inspection<'_>) -> Presented;
}

/// Where a request carries a credential.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Presented {
    /// In some other field, or in more than one.
    Elsewhere,
    /// In `Authorization`, and nowhere else.
    InAuthorization,
    /// Where none may be, such as in the URL: this guard is to refuse the request, whatever else it
    /// carries.
    Misplaced,
    /// Nowhere.
    Nothing,
}

/// Two ways to authenticate as one guard, such as tokens and API keys: a request uses the one or
/// the other.
///
/// 1. The credential that the request carries decides who is asked. A request with two of them is
///    refused (`context.two_credentials`): nobody could say for whom it acts.
/// 2. Where both see the same `Authorization` field, it belongs to the second, which recognises
///    its own more narrowly: a key by its prefix, below a scheme that tokens have as well.
/// 3. Whoever sees a credential where none may be refuses the request.
/// 4. Without any credential, both are asked, and the refusal carries the challenges of both. Such
///    a request passes if each of them says so.
/// 5. Where one is in shadow mode and the other enforces, the one that enforces is always asked,
///    and its answer is what it would be alone. The other one only records: it is asked about a
///    credential of its own, in a context that is thrown away, and names nobody.
/// 6. Where both are in shadow mode, whoever would have refused has authenticated nobody, and the
///    other one is asked as well.
///
/// Either may be absent; without both every request passes.
#[derive(Clone, Debug)]
pub struct Authenticators<A, B> {
    first: Option<A>,
    second: Option<B>,
}

type Asked<A, B> =
    Check<AuthenticatorsPass<<A as Guard>::Pass, <B as Guard>::Pass>, AuthenticatorsInquiry<A, B>>;

impl<A: Authenticator, B: Authenticator> Authenticators<A, B> {
    /// Asks one of these.
    pub const fn new(first: Option<A>, second: Option<B>) -> Self {
        Self { first, second }
    }

    fn ask_first(
        &self,
        guard: &A,
        inspection: &mut Inspection<'_>,
        other: Other,
        second: Option<Settled<B::Pass>>,
    ) -> Asked<A, B> {
        match other.seen_by(inspection, |inspection| guard.check(inspection)) {
            Check::Now(verdict) => self.first_said(verdict, inspection, &other, second),
            Check::Later(inquiry) => Check::Later(AuthenticatorsInquiry::First {
                inquiry,
                both: self.clone(),
                other,
                second,
            }),
        }
    }

    fn ask_second(
        &self,
        guard: &B,
        inspection: &mut Inspection<'_>,
        other: Other,
        first: Option<Settled<A::Pass>>,
    ) -> Asked<A, B> {
        match other.seen_by(inspection, |inspection| guard.check(inspection)) {
            Check::Now(verdict) => self.second_said(verdict, inspection, &other, first),
            Check::Later(inquiry) => Check::Later(AuthenticatorsInquiry::Second {
                inquiry,
                both: self.clone(),
                other,
                first,
            }),
        }
    }

    fn first_said(
        &self,
        verdict: Result<A::Pass, Rejection>,
        inspection: &mut Inspection<'_>,
        other: &Other,
        second: Option<Settled<B::Pass>>,
    ) -> Asked<A, B> {
        let duty = self.first.as_ref().and_then(Guard::duty);
        match (settle(duty, inspection, verdict), &self.second) {
            (Err(rejection), Some(guard)) if matches!(other, Other::Always) => {
                Check::Now(Err(with_challenges_of(rejection, guard, inspection)))
            }
            (Err(rejection), _) => Check::Now(Err(rejection)),
            (Ok(first), Some(guard)) if other.applies(&first) => {
                let first = Some(first).filter(|_| !other.decides());
                self.ask_second(guard, inspection, Other::Never, first)
            }
            (Ok(first), _) => Check::Now(Ok(AuthenticatorsPass::new(Some(first), second))),
        }
    }

    fn second_said(
        &self,
        verdict: Result<B::Pass, Rejection>,
        inspection: &mut Inspection<'_>,
        other: &Other,
        first: Option<Settled<A::Pass>>,
    ) -> Asked<A, B> {
        let duty = self.second.as_ref().and_then(Guard::duty);
        match (settle(duty, inspection, verdict), &self.first) {
            (Err(rejection), _) => Check::Now(Err(rejection)),
            (Ok(second), Some(guard)) if other.applies(&second) => {
                let second = Some(second).filter(|_| !other.decides());
                self.ask_first(guard, inspection, Other::Never, second)
            }
            (Ok(second), _) => Check::Now(Ok(AuthenticatorsPass::new(first, Some(second)))),
        }
    }

    /// Both refuse, or both only record it.
    fn refuse_two(&self, first: &A, second: &B, inspection: &mut Inspection<'_>) -> Asked<A, B> {
        let settled = settle(first.duty(), inspection, two_credentials()).and_then(|first| {
            let second = settle(second.duty(), inspection, two_credentials())?;
            Ok(AuthenticatorsPass::new(Some(first), Some(second)))
        });
        Check::Now(settled)
    }

    /// The second decides as if it were alone, and the first records what it would have done.
    fn second_decides(
        &self,
        (first, second): (&A, &B),
        inspection: &mut Inspection<'_>,
    ) -> Asked<A, B> {
        let presented = (first.presented(inspection), second.presented(inspection));
        match presented {
            (Presented::Misplaced, _) | (_, Presented::Nothing) => {
                let other = Other::Decides(inspection.context.aside());
                return self.ask_first(first, inspection, other, None);
            }
            // A field that both see belongs to the second.
            (Presented::Nothing, _)
            | (_, Presented::Misplaced)
            | (Presented::InAuthorization, Presented::InAuthorization) => {}
            // In shadow mode that is a decision, and no refusal.
            _ => drop(settle::<A::Pass>(
                first.duty(),
                inspection,
                two_credentials(),
            )),
        }
        self.ask_second(second, inspection, Other::Never, None)
    }

    /// The first decides as if it were alone, and the second records what it would have done.
    fn first_decides(
        &self,
        (first, second): (&A, &B),
        inspection: &mut Inspection<'_>,
    ) -> Asked<A, B> {
        let presented = (first.presented(inspection), second.presented(inspection));
        match presented {
            (_, Presented::Misplaced)
            | (Presented::Nothing, _)
            | (Presented::InAuthorization, Presented::InAuthorization) => {
                let other = Other::Decides(inspection.context.aside());
                return self.ask_second(second, inspection, other, None);
            }
            (_, Presented::Nothing) | (Presented::Misplaced, _) => {}
            // In shadow mode that is a decision, and no refusal.
            _ => drop(settle::<B::Pass>(
                second.duty(),
                inspection,
                two_credentials(),
            )),
        }
        self.ask_first(first, inspection, Other::Never, None)
    }
}

fn two_credentials<P>() -> Result<P, Rejection> {
    let refusal = Rejection::new(RejectionKind::Malformed, TWO_CREDENTIALS);
    Err(refusal.with_detail("the request carries two credentials, and may carry one"))
}

fn only_watches(guard: &impl Guard) -> bool {
    let enforcement = guard.duty().map(Duty::enforcement);
    enforcement == Some(Enforcement::Shadow)
}

/// A refusal for want of any credential, with what the other one would like as well.
fn with_challenges_of<G: Guard>(
    rejection: Rejection,
    guard: &G,
    inspection: &mut Inspection<'_>,
) -> Rejection {
    match guard.check(inspection) {
        Check::Now(Err(other)) => rejection.with_challenges_of(other),
        _ => rejection,
    }
}

impl<A: Authenticator, B: Authenticator> Guard for Authenticators<A, B> {
    type Pass = AuthenticatorsPass<A::Pass, B::Pass>;
    type Inquiry = AuthenticatorsInquiry<A, B>;

    fn duty(&self) -> Option<&Duty> {
        None
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Asked<A, B> {
        let (first, second) = match (&self.first, &self.second) {
            (None, None) => return Check::Now(Ok(AuthenticatorsPass::new(None, None))),
            (Some(first), None) => return self.ask_first(first, inspection, Other::Never, None),
            (None, Some(second)) => return self.ask_second(second, inspection, Other::Never, None),
            (Some(first), Some(second)) => (first, second),
        };
        match (only_watches(first), only_watches(second)) {
            (true, false) => return self.second_decides((first, second), inspection),
            (false, true) => return self.first_decides((first, second), inspection),
            (true, true) | (false, false) => {}
        }
        match (first.presented(inspection), second.presented(inspection)) {
            (Presented::Misplaced, _) => self.ask_first(first, inspection, Other::IfShadowed, None),
            (_, Presented::Misplaced) => {
                self.ask_second(second, inspection, Other::IfShadowed, None)
            }
            (Presented::Nothing, Presented::Nothing) => {
                self.ask_first(first, inspection, Other::Always, None)
            }
            (_, Presented::Nothing) => self.ask_first(first, inspection, Other::IfShadowed, None),
            (Presented::Nothing, _) | (Presented::InAuthorization, Presented::InAuthorization) => {
                self.ask_second(second, inspection, Other::IfShadowed, None)
            }
            _ => self.refuse_two(first, second, inspection),
        }
    }
}
