//! Two guards as one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::duty::{Duty, settle};
use crate::guard::{Check, Guard, Inquiry, Inspection};
use crate::pass::Settled;
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

type ChainPass<A, B> = (Settled<<A as Guard>::Pass>, Settled<<B as Guard>::Pass>);

impl<A: Guard, B: Guard> Guard for Chain<A, B> {
    type Pass = ChainPass<A, B>;
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

fn ask_second<A: Guard, B: Guard>(
    second: &B,
    first: Settled<A::Pass>,
    inspection: &mut Inspection<'_>,
) -> Check<ChainPass<A, B>, ChainInquiry<A, B>> {
    match second.check(inspection) {
        Check::Now(verdict) => {
            Check::Now(settle(second.duty(), inspection, verdict).map(|second| (first, second)))
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

impl<A: Guard, B: Guard> Inquiry<ChainPass<A, B>> for ChainInquiry<A, B> {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<ChainPass<A, B>, Rejection>> {
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
                    return Poll::Ready(second.map(|second| (take(first), second)));
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
