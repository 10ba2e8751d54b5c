//! A request that waits until its key is known.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bartizan_core::{Inquiry, Inspection, Rejection};

use super::{RateLimitGuard, RateLimitPass};
use crate::key::Questions;

/// Waits for what a request's key has to be asked for
/// ([`Key::custom_async`](crate::Key::custom_async)), and then decides.
///
/// Boxed, since hardly any limit needs one, and every request would carry its size.
pub struct RateLimitInquiry(Box<Waiting>);

struct Waiting {
    guard: RateLimitGuard,
    questions: Questions,
}

impl RateLimitInquiry {
    pub(super) fn new(guard: RateLimitGuard, questions: Questions) -> Self {
        Self(Box::new(Waiting { guard, questions }))
    }
}

impl Inquiry<RateLimitPass> for RateLimitInquiry {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<RateLimitPass, Rejection>> {
        let Waiting { guard, questions } = &mut *self.0;
        let answers = questions.poll(cx);
        answers.map(|answers| guard.decide(inspection, answers))
    }
}

impl fmt::Debug for RateLimitInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimitInquiry")
            .field(&self.0.questions)
            .finish()
    }
}
