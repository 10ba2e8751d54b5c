//! A request that waits until its key is known, or until a store has answered.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_core::{Check, Inquiry, Inspection, Rejection};

#[cfg(any(feature = "envoy", feature = "redis"))]
use super::shared::Asking;
use super::{RateLimitGuard, RateLimitPass};
use crate::key::Questions;

/// Waits for what a request's key has to be asked for
/// ([`Key::custom_async`](crate::Key::custom_async)), and for the store that limits are shared
/// through, and then decides.
///
/// Boxed, since hardly any limit needs one, and every request would carry its size.
pub struct RateLimitInquiry(Box<Waiting>);

struct Waiting {
    guard: RateLimitGuard,
    for_what: For,
}

enum For {
    Key(Questions),
    #[cfg(any(feature = "envoy", feature = "redis"))]
    Store(Asking),
}

impl RateLimitInquiry {
    pub(super) fn of_key(guard: RateLimitGuard, questions: Questions) -> Self {
        let for_what = For::Key(questions);
        Self(Box::new(Waiting { guard, for_what }))
    }

    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(super) fn of_store(guard: RateLimitGuard, asking: Asking) -> Self {
        let for_what = For::Store(asking);
        Self(Box::new(Waiting { guard, for_what }))
    }
}

impl Inquiry<RateLimitPass> for RateLimitInquiry {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<RateLimitPass, Rejection>> {
        loop {
            let Waiting { guard, for_what } = &mut *self.0;
            let check = match for_what {
                For::Key(questions) => {
                    let answers = ready!(questions.poll(cx));
                    guard.decide(inspection, answers)
                }
                #[cfg(any(feature = "envoy", feature = "redis"))]
                For::Store(asking) => {
                    let concluded = ready!(asking.as_mut().poll(cx));
                    Check::Now(guard.conclude_shared(inspection, concluded))
                }
            };
            match check {
                Check::Now(verdict) => return Poll::Ready(verdict),
                Check::Later(next) => *self = next,
            }
        }
    }
}

impl fmt::Debug for RateLimitInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("RateLimitInquiry");
        match &self.0.for_what {
            For::Key(questions) => tuple.field(questions),
            #[cfg(any(feature = "envoy", feature = "redis"))]
            For::Store(_) => tuple.field(&"the store"),
        };
        tuple.finish()
    }
}
