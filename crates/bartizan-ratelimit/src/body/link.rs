//! What a request's body and its guard tell one another.

use std::error::Error;
use std::task::{Context, Poll, Waker};

use crate::error::{RateLimitError, RateLimitErrorKind};
use crate::sync::{Mutex, PoisonError};

/// Between a body, which finds out that it breaks a rule, and the guard's pass, which answers.
///
/// The body, once broken, gives nothing until the pass is gone: whoever reads it inside of the
/// response's future is dropped with that, and cannot answer in our place.
#[derive(Debug)]
pub(crate) struct Link {
    is_shadow: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<RateLimitErrorKind>,
    is_over: bool,
    watcher: Option<Waker>,
    reader: Option<Waker>,
}

impl Link {
    /// In shadow mode a body that breaks a rule is told of, and read on.
    pub(crate) fn new(is_shadow: bool) -> Self {
        Self {
            is_shadow,
            state: Mutex::default(),
        }
    }

    /// Tells the pass what is wrong; gives whether the body ends here.
    pub(crate) fn report(&self, kind: RateLimitErrorKind) -> bool {
        let watcher = self.with(|state| {
            state.fault.get_or_insert(kind);
            state.watcher.take()
        });
        if let Some(watcher) = watcher {
            watcher.wake();
        }
        !self.is_shadow
    }

    /// What the reader of a broken body gets: an error, once nobody answers for it any more.
    pub(crate) fn poll_broken<T>(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, Box<dyn Error + Send + Sync>>> {
        self.with(|state| {
            if !state.is_over {
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let kind = state.fault.unwrap_or(RateLimitErrorKind::BodyTooLarge);
            Poll::Ready(Err(RateLimitError::new(kind, None).into()))
        })
    }

    /// Waits for what is wrong with the body.
    pub(crate) fn poll_fault(&self, cx: &mut Context<'_>) -> Poll<RateLimitErrorKind> {
        self.with(|state| match state.fault {
            Some(kind) => Poll::Ready(kind),
            None => {
                state.watcher = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    /// Tells the body that nobody answers for it any more.
    pub(crate) fn end(&self) {
        let reader = self.with(|state| {
            state.is_over = true;
            state.watcher = None;
            state.reader.take()
        });
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
