//! Two ways to authenticate, of which a request uses one.

mod inquiry;
mod pass;

use crate::code::Code;
use crate::duty::{Duty, settle};
use crate::guard::{Check, Guard, Inspection};
use crate::pass::Settled;
use crate::rejection::{Rejection, RejectionKind};

pub use self::inquiry::AuthenticatorsInquiry;
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
/// 5. In shadow mode, whoever would have refused has authenticated nobody: the other one is asked
///    as well, so that a bad key is no way around the tokens that are enforced.
///
/// Either may be absent; without both every request passes.
#[derive(Clone, Debug)]
pub struct Authenticators<A, B> {
    first: Option<A>,
    second: Option<B>,
}

/// Whether the other authenticator is asked as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Other {
    Always,
    IfShadowed,
    Never,
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
        match guard.check(inspection) {
            Check::Now(verdict) => self.first_said(verdict, inspection, other, second),
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
        match guard.check(inspection) {
            Check::Now(verdict) => self.second_said(verdict, inspection, other, first),
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
        other: Other,
        second: Option<Settled<B::Pass>>,
    ) -> Asked<A, B> {
        let duty = self.first.as_ref().and_then(Guard::duty);
        match (settle(duty, inspection, verdict), &self.second) {
            (Err(rejection), Some(guard)) if other == Other::Always => {
                Check::Now(Err(with_challenges_of(rejection, guard, inspection)))
            }
            (Err(rejection), _) => Check::Now(Err(rejection)),
            (Ok(first), Some(guard)) if other.applies(&first) => {
                self.ask_second(guard, inspection, Other::Never, Some(first))
            }
            (Ok(first), _) => Check::Now(Ok(AuthenticatorsPass::new(Some(first), second))),
        }
    }

    fn second_said(
        &self,
        verdict: Result<B::Pass, Rejection>,
        inspection: &mut Inspection<'_>,
        other: Other,
        first: Option<Settled<A::Pass>>,
    ) -> Asked<A, B> {
        let duty = self.second.as_ref().and_then(Guard::duty);
        match (settle(duty, inspection, verdict), &self.first) {
            (Err(rejection), _) => Check::Now(Err(rejection)),
            (Ok(second), Some(guard)) if other.applies(&second) => {
                self.ask_first(guard, inspection, Other::Never, Some(second))
            }
            (Ok(second), _) => Check::Now(Ok(AuthenticatorsPass::new(first, Some(second)))),
        }
    }

    /// Both refuse, each as it enforces.
    fn refuse_two(&self, first: &A, second: &B, inspection: &mut Inspection<'_>) -> Asked<A, B> {
        let refusal = || {
            Rejection::new(RejectionKind::Malformed, TWO_CREDENTIALS)
                .with_detail("the request carries two credentials, and may carry one")
        };
        let settled = settle(first.duty(), inspection, Err(refusal())).and_then(|first| {
            let second = settle(second.duty(), inspection, Err(refusal()))?;
            Ok(AuthenticatorsPass::new(Some(first), Some(second)))
        });
        Check::Now(settled)
    }
}

impl Other {
    fn applies<P>(self, settled: &Settled<P>) -> bool {
        match self {
            Self::Always => true,
            Self::IfShadowed => settled.is_shadowed(),
            Self::Never => false,
        }
    }
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
