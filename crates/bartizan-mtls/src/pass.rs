//! What goes on after a request was let pass: its response ends when its peer's certificate does.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Pass, Peer, Rejection};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use crate::error::MtlsError;
use crate::guard::MtlsGuard;

/// How often a response that goes on is checked for a wall clock that was set.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Ends a response that outlives the certificate of its peer.
///
/// A short response pays nothing for it: the timer is made when the response first has to wait.
pub struct MtlsPass {
    guard: MtlsGuard,
    peer: Peer,
    timer: Option<Pin<Box<Sleep>>>,
}

impl MtlsPass {
    pub(crate) fn new(guard: MtlsGuard, peer: Peer) -> Self {
        Self {
            guard,
            peer,
            timer: None,
        }
    }
}

impl Pass for MtlsPass {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        loop {
            if let Some(timer) = &mut self.timer
                && timer.as_mut().poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            let left = match self.guard.time_left(&self.peer) {
                Ok(left) => left,
                Err(error) => return Poll::Ready(MtlsError::into_rejection(error)),
            };
            // Outside a runtime there is no timer, and nobody who would wait for one.
            if Handle::try_current().is_err() {
                return Poll::Pending;
            }
            self.timer = Some(Box::pin(sleep(left.min(CHECK_EVERY))));
        }
    }
}

impl fmt::Debug for MtlsPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsPass")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
