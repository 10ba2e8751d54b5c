//! What goes on after a request was let pass: its response ends when what it rests on does.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Pass, Rejection};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use crate::error::MtlsError;
use crate::guard::{Basis, MtlsGuard};

/// How often a response that goes on is checked for a wall clock that was set.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Ends a response that outlives the certificate of its peer, or the migration that allowed it.
///
/// A short response pays nothing for it: the timer is made when the response first has to wait.
pub struct MtlsPass {
    guard: MtlsGuard,
    basis: Basis,
    timer: Option<Pin<Box<Sleep>>>,
}

impl MtlsPass {
    pub(crate) fn new(guard: MtlsGuard, basis: Basis) -> Self {
        Self {
            guard,
            basis,
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
            let left = match self.guard.time_left(&self.basis) {
                Ok(Some(left)) => left,
                Ok(None) => return Poll::Pending,
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
            .field("basis", &self.basis)
            .finish_non_exhaustive()
    }
}
