//! A guard that may be absent.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::response;
use pin_project_lite::pin_project;

use crate::duty::Duty;
use crate::guard::{Check, Guard, Inquiry, Inspection};
use crate::pass::Pass;
use crate::rejection::Rejection;

/// A guard that may be absent: `None` lets every request pass and leaves no decision. Where what
/// stands in a row is chosen at run time, such as by a configuration file, the row keeps its type.
impl<G: Guard> Guard for Option<G> {
    type Pass = OptionalPass<G::Pass>;
    type Inquiry = OptionalInquiry<G>;

    fn duty(&self) -> Option<&Duty> {
        self.as_ref()?.duty()
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<Self::Pass, Self::Inquiry> {
        let Some(guard) = self else {
            return Check::Now(Ok(OptionalPass(None)));
        };
        match guard.check(inspection) {
            Check::Now(verdict) => Check::Now(verdict.map(|pass| OptionalPass(Some(pass)))),
            Check::Later(inquiry) => Check::Later(OptionalInquiry { inquiry }),
        }
    }
}

/// What a guard that may be absent still owes.
#[derive(Debug)]
pub struct OptionalPass<P>(Option<P>);

impl<P: Pass> Pass for OptionalPass<P> {
    const MAY_CUT: bool = P::MAY_CUT;

    fn respond(&mut self, response: &mut response::Parts) {
        if let Some(pass) = &mut self.0 {
            pass.respond(response);
        }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        match &mut self.0 {
            Some(pass) => pass.poll_cut(cx),
            None => Poll::Pending,
        }
    }

    fn take_refusal(&mut self) -> Option<Rejection> {
        self.0.as_mut()?.take_refusal()
    }
}

pin_project! {
    /// The inquiry of a guard that may be absent.
    pub struct OptionalInquiry<G>
    where
        G: Guard,
    {
        #[pin]
        inquiry: G::Inquiry,
    }
}

impl<G: Guard> Inquiry<OptionalPass<G::Pass>> for OptionalInquiry<G> {
    fn poll_verdict(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<OptionalPass<G::Pass>, Rejection>> {
        let verdict = ready!(self.project().inquiry.poll_verdict(cx, inspection));
        Poll::Ready(verdict.map(|pass| OptionalPass(Some(pass))))
    }
}

impl<G: Guard> fmt::Debug for OptionalInquiry<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OptionalInquiry")
    }
}
