//! What goes on after a request was let pass: its response ends when its key does.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Pass, Rejection};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use crate::format::KeyId;
use crate::guard::ApiKeyGuard;

/// How often a response that goes on is checked for what no timer tells beforehand: a wall clock
/// that was set, a key that was revoked or removed.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Ends a response that outlives its key.
///
/// A short response pays nothing for it: the timer is made when the response first has to wait.
pub struct ApiKeyPass {
    watch: Option<Watch>,
}

struct Watch {
    guard: ApiKeyGuard,
    id: KeyId,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ApiKeyPass {
    /// Nothing is watched.
    pub(crate) fn free() -> Self {
        Self { watch: None }
    }

    pub(crate) fn watching(guard: ApiKeyGuard, id: KeyId) -> Self {
        let timer = None;
        Self {
            watch: Some(Watch { guard, id, timer }),
        }
    }
}

impl Pass for ApiKeyPass {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        match &mut self.watch {
            Some(watch) => watch.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Watch {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        loop {
            if let Some(timer) = &mut self.timer
                && timer.as_mut().poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            let left = match self.guard.time_left(self.id) {
                Ok(left) => left,
                Err(rejection) => return Poll::Ready(rejection),
            };
            // Outside a runtime there is no timer, and nobody who would wait for one.
            if Handle::try_current().is_err() {
                return Poll::Pending;
            }
            let wait = left.map_or(CHECK_EVERY, |left| left.min(CHECK_EVERY));
            self.timer = Some(Box::pin(sleep(wait)));
        }
    }
}

impl fmt::Debug for ApiKeyPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyPass")
    }
}
