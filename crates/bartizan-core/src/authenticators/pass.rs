//! What the authenticators of a request still owe.

use std::task::{Context, Poll};

use http::response;

use crate::pass::{Pass, Settled};
use crate::rejection::Rejection;

/// What the authenticators of a request still owe: mostly one of them, both where each let a
/// request without a credential pass, or both are in shadow mode.
#[derive(Debug)]
pub struct AuthenticatorsPass<A, B> {
    first: Option<Settled<A>>,
    second: Option<Settled<B>>,
}

impl<A, B> AuthenticatorsPass<A, B> {
    pub(super) const fn new(first: Option<Settled<A>>, second: Option<Settled<B>>) -> Self {
        Self { first, second }
    }
}

impl<A: Pass, B: Pass> Pass for AuthenticatorsPass<A, B> {
    const MAY_CUT: bool = A::MAY_CUT || B::MAY_CUT;

    fn respond(&mut self, response: &mut response::Parts) {
        if let Some(second) = &mut self.second {
            second.respond(response);
        }
        if let Some(first) = &mut self.first {
            first.respond(response);
        }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        if let Some(first) = &mut self.first
            && let Poll::Ready(cut) = first.poll_cut(cx)
        {
            return Poll::Ready(cut);
        }
        match &mut self.second {
            Some(second) => second.poll_cut(cx),
            None => Poll::Pending,
        }
    }

    fn take_refusal(&mut self) -> Option<Rejection> {
        let first = self.first.as_mut().and_then(Settled::take_refusal);
        first.or_else(|| self.second.as_mut().and_then(Settled::take_refusal))
    }
}
