//! An authenticator that has to wait.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Authenticator, Authenticators, AuthenticatorsPass, Other};
use crate::guard::{Check, Inquiry, Inspection};
use crate::pass::Settled;
use crate::rejection::Rejection;

pin_project! {
    /// The inquiry of [`Authenticators`] of which one has to wait.
    #[project = AuthenticatorsInquiryState]
    pub enum AuthenticatorsInquiry<A, B>
    where
        A: Authenticator,
        B: Authenticator,
    {
        /// The first is waiting.
        #[doc(hidden)]
        First {
            #[pin]
            inquiry: A::Inquiry,
            both: Authenticators<A, B>,
            other: Other,
            second: Option<Settled<B::Pass>>,
        },
        /// The second is waiting.
        #[doc(hidden)]
        Second {
            #[pin]
            inquiry: B::Inquiry,
            both: Authenticators<A, B>,
            other: Other,
            first: Option<Settled<A::Pass>>,
        },
    }
}

impl<A: Authenticator, B: Authenticator> Inquiry<AuthenticatorsPass<A::Pass, B::Pass>>
    for AuthenticatorsInquiry<A, B>
{
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<AuthenticatorsPass<A::Pass, B::Pass>, Rejection>> {
        loop {
            let asked = match self.as_mut().project() {
                AuthenticatorsInquiryState::First {
                    inquiry,
                    both,
                    other,
                    second,
                } => {
                    let asked = other.seen_by(inspection, |it| inquiry.poll_verdict(cx, it));
                    let verdict = ready!(asked);
                    both.first_said(verdict, inspection, other, second.take())
                }
                AuthenticatorsInquiryState::Second {
                    inquiry,
                    both,
                    other,
                    first,
                } => {
                    let asked = other.seen_by(inspection, |it| inquiry.poll_verdict(cx, it));
                    let verdict = ready!(asked);
                    both.second_said(verdict, inspection, other, first.take())
                }
            };
            match asked {
                Check::Now(verdict) => return Poll::Ready(verdict),
                Check::Later(next) => self.set(next),
            }
        }
    }
}

impl<A: Authenticator, B: Authenticator> fmt::Debug for AuthenticatorsInquiry<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First { .. } => "AuthenticatorsInquiry::First",
            Self::Second { .. } => "AuthenticatorsInquiry::Second",
        })
    }
}
