//! Two guards as one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::response;
use pin_project_lite::pin_project;

use crate::duty::{Duty, settle};
use crate::guard::{Check, Guard, Inquiry, Inspection};
use crate::pass::{Pass, Settled};
use crate::rejection::Rejection;

/// Two guards as one: the first decides before the second is asked.
///
/// A chain is a guard itself, so that a whole stack becomes one service, one future and one body
/// instead of a nest of them. Each guard keeps its own name, enforcement and decision.
#[derive(Clone, Debug)]
pub struct Chain<A, B> {
    first: A,
    second: B,
}

impl<A: Guard, B: Guard> Chain<A, B> {
    /// Asks `first`, then `second`.
    pub const fn new(first: A, second: B) -> Self {
        Self { first, second }
    }

    /// Asks `next` after both.
    pub const fn then<C: Guard>(self, next: C) -> Chain<Self, C> {
        Chain::new(self, next)
    }
}

/// What both guards of a [`Chain`] still owe.
///
/// A refusal by the second guard travels here beside what the first one owes, so that the first
/// sees the head of that refusal as it would in a layer of its own: it can charge an address for
/// a failed authentication, or add its headers.
#[derive(Debug)]
pub struct ChainPass<A, B> {
    first: Settled<A>,
    second: Second<B>,
}

#[derive(Debug)]
enum Second<B> {
    Passed(Settled<B>),
    /// `None` once the engine has taken it.
    Refused(Option<Rejection>),
}

impl<A, B> ChainPass<A, B> {
    fn new(first: Settled<A>, second: Result<Settled<B>, Rejection>) -> Self {
        let second = match second {
            Ok(second) => Second::Passed(second),
            Err(rejection) => Second::Refused(Some(rejection)),
        };
        Self { first, second }
    }
}

impl<A: Pass, B: Pass> Pass for ChainPass<A, B> {
    const MAY_CUT: bool = A::MAY_CUT || B::MAY_CUT;

    // The inner guard first, as if each had a service of its own.
    fn respond(&mut self, response: &mut response::Parts) {
        if let Second::Passed(second) = &mut self.second {
            second.respond(response);
        }
        self.first.respond(response);
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        match (self.first.poll_cut(cx), &mut self.second) {
            (Poll::Pending, Second::Passed(second)) => second.poll_cut(cx),
            (cut, _) => cut,
        }
    }

    fn take_refusal(&mut self) -> Option<Rejection> {
        match &mut self.second {
            Second::Passed(second) => second.take_refusal(),
            Second::Refused(rejection) => rejection.take(),
        }
    }
}

impl<A: Guard, B: Guard> Guard for Chain<A, B> {
    type Pass = ChainPass<A::Pass, B::Pass>;
    type Inquiry = ChainInquiry<A, B>;

    fn duty(&self) -> Option<&Duty> {
        None
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<Self::Pass, Self::Inquiry> {
        match self.first.check(inspection) {
            Check::Now(verdict) => match settle(self.first.duty(), inspection, verdict) {
                Ok(first) => ask_second(&self.second, first, inspection),
                Err(rejection) => Check::Now(Err(rejection)),
            },
            Check::Later(inquiry) => Check::Later(ChainInquiry::First {
                inquiry,
                chain: Some(self.clone()),
            }),
        }
    }
}

type Verdict<A, B> = Result<ChainPass<<A as Guard>::Pass, <B as Guard>::Pass>, Rejection>;

fn ask_second<A: Guard, B: Guard>(
    second: &B,
    mut first: Settled<A::Pass>,
    inspection: &mut Inspection<'_>,
) -> Check<ChainPass<A::Pass, B::Pass>, ChainInquiry<A, B>> {
    // The first is a chain itself, and its own second guard refused.
    if let Some(rejection) = first.take_refusal() {
        return Check::Now(Ok(ChainPass::new(first, Err(rejection))));
    }
    match second.check(inspection) {
        Check::Now(verdict) => {
            let second = settle(second.duty(), inspection, verdict);
            Check::Now(Ok(ChainPass::new(first, second)))
        }
        Check::Later(inquiry) => Check::Later(ChainInquiry::Second {
            inquiry,
            guard: second.clone(),
            first: Some(first),
        }),
    }
}

pin_project! {
    /// The inquiry of a [`Chain`] in which one of the guards has to wait.
    #[project = ChainInquiryState]
    pub enum ChainInquiry<A, B>
    where
        A: Guard,
        B: Guard,
    {
        /// The first guard is waiting.
        #[doc(hidden)]
        First { #[pin] inquiry: A::Inquiry, chain: Option<Chain<A, B>> },
        /// The second guard is waiting.
        #[doc(hidden)]
        Second { #[pin] inquiry: B::Inquiry, guard: B, first: Option<Settled<A::Pass>> },
    }
}

impl<A: Guard, B: Guard> Inquiry<ChainPass<A::Pass, B::Pass>> for ChainInquiry<A, B> {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Verdict<A, B>> {
        loop {
            match self.as_mut().project() {
                ChainInquiryState::First { inquiry, chain } => {
                    let verdict = ready!(inquiry.poll_verdict(cx, inspection));
                    let chain = take(chain);
                    let first = match settle(chain.first.duty(), inspection, verdict) {
                        Ok(first) => first,
                        Err(rejection) => return Poll::Ready(Err(rejection)),
                    };
                    match ask_second::<A, B>(&chain.second, first, inspection) {
                        Check::Now(verdict) => return Poll::Ready(verdict),
                        Check::Later(next) => self.set(next),
                    }
                }
                ChainInquiryState::Second {
                    inquiry,
                    guard,
                    first,
                } => {
                    let verdict = ready!(inquiry.poll_verdict(cx, inspection));
                    let second = settle(guard.duty(), inspection, verdict);
                    return Poll::Ready(Ok(ChainPass::new(take(first), second)));
                }
            }
        }
    }
}

/// Takes what the inquiry holds for the moment of its verdict.
#[expect(
    clippy::expect_used,
    reason = "only a poll after the verdict finds it taken"
)]
fn take<T>(held: &mut Option<T>) -> T {
    held.take().expect("ChainInquiry polled after its verdict")
}

impl<A: Guard, B: Guard> std::fmt::Debug for ChainInquiry<A, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::First { .. } => "ChainInquiry::First",
            Self::Second { .. } => "ChainInquiry::Second",
        })
    }
}
