//! What a guard still owes, and what becomes of it.

use std::task::{Context, Poll};

use http::response;

use crate::context::SecurityContext;
use crate::decision::{Decision, Enforcement, Outcome};
use crate::duty::Duty;
use crate::protocol::Protocol;
use crate::rejection::Rejection;

/// What a guard still owes after it let a request pass.
///
/// It is dropped when the response body has ended, failed or been abandoned, and when the request
/// was cancelled before: a permit needs no more than that.
pub trait Pass: Send + Unpin + 'static {
    /// Whether [`poll_cut`](Self::poll_cut) can ever end a response. A pass that cannot says so,
    /// and then costs nothing to watch.
    const MAY_CUT: bool = true;

    /// Called once with the head of the response: to add headers, or to take the outcome into
    /// account. The response is the inner service's, or the refusal of a guard further in,
    /// whether that guard stands in a layer of its own or in the same [`Chain`](crate::Chain).
    fn respond(&mut self, response: &mut response::Parts) {
        let _ = response;
    }

    /// Asks whether what the request rests on has ended: a token that expired, a certificate
    /// that was revoked. `Ready` ends the response, also in the middle of its body; the decision
    /// is recorded and told, and in shadow mode that is all.
    ///
    /// Called when the inner service or body has nothing to give, and now and then while it has
    /// plenty; the waker must be registered as for a future. A short response is never asked.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let _ = cx;
        Poll::Pending
    }

    /// The refusal of a guard further in, for passes of a [`Chain`](crate::Chain): the request
    /// goes no further, and the refusal's head is then given to [`respond`](Self::respond).
    #[doc(hidden)]
    fn take_refusal(&mut self) -> Option<Rejection> {
        None
    }
}

impl Pass for () {
    const MAY_CUT: bool = false;
}

/// The pass of a guard whose verdict was settled: with the means to record and tell a cut.
///
/// Without a pass it stands for a request that shadow mode let through.
#[derive(Debug)]
pub struct Settled<P> {
    pass: Option<P>,
    watch: Watch,
}

#[derive(Debug)]
enum Watch {
    /// The guard is made of others, whose passes watch for themselves; or nothing can be cut.
    Nothing,
    Cut {
        duty: Duty,
        context: SecurityContext,
        protocol: Protocol,
    },
}

impl<P> Settled<P> {
    /// What is left of a request that shadow mode let through.
    pub(crate) const fn shadowed() -> Self {
        Self {
            pass: None,
            watch: Watch::Nothing,
        }
    }

    /// Whether shadow mode let the request through, and nobody vouches for it.
    pub(crate) const fn is_shadowed(&self) -> bool {
        self.pass.is_none()
    }

    /// The pass of a guard that is made of others.
    pub(crate) const fn unwatched(pass: P) -> Self {
        Self {
            pass: Some(pass),
            watch: Watch::Nothing,
        }
    }
}

impl<P: Pass> Settled<P> {
    pub(crate) fn watched(
        pass: P,
        duty: &Duty,
        context: &SecurityContext,
        protocol: Protocol,
    ) -> Self {
        if P::MAY_CUT {
            Self::watched_in(pass, duty, context.clone(), protocol)
        } else {
            Self::unwatched(pass)
        }
    }

    /// The same in a context that nobody else needs.
    pub(crate) fn watched_in(
        pass: P,
        duty: &Duty,
        context: SecurityContext,
        protocol: Protocol,
    ) -> Self {
        if !P::MAY_CUT {
            return Self::unwatched(pass);
        }
        let duty = duty.clone();
        Self {
            pass: Some(pass),
            watch: Watch::Cut {
                duty,
                context,
                protocol,
            },
        }
    }
}

impl<P: Pass> Pass for Settled<P> {
    const MAY_CUT: bool = P::MAY_CUT;

    fn respond(&mut self, response: &mut response::Parts) {
        if let Some(pass) = &mut self.pass {
            pass.respond(response);
        }
    }

    fn take_refusal(&mut self) -> Option<Rejection> {
        self.pass.as_mut().and_then(P::take_refusal)
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let Some(pass) = self.pass.as_mut().filter(|_| P::MAY_CUT) else {
            return Poll::Pending;
        };
        let Poll::Ready(rejection) = pass.poll_cut(cx) else {
            return Poll::Pending;
        };
        let Watch::Cut {
            duty,
            context,
            protocol,
        } = std::mem::replace(&mut self.watch, Watch::Nothing)
        else {
            return Poll::Ready(rejection);
        };
        let shadow = duty.enforcement() == Enforcement::Shadow;
        let outcome = if shadow {
            Outcome::WouldHaveDenied
        } else {
            Outcome::Denied
        };
        let decision = Decision::new(duty.layer(), outcome).with_code(rejection.code());
        duty.conclude(&context, protocol, decision);
        if shadow {
            // The rest of the response owes nothing any more.
            self.pass = None;
            return Poll::Pending;
        }
        Poll::Ready(rejection)
    }
}
