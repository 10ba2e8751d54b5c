//! What goes on after a request was let pass: its response ends when its token does.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Pass, Rejection};
use http::{HeaderValue, response};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use crate::error::DPOP_NONCE;
use crate::guard::{Held, Post};

/// How often a response that goes on is checked for what no timer tells beforehand: a wall clock
/// that was set, a key that was withdrawn, a token that was revoked.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Ends a response that outlives its token, and hands out the next nonce.
///
/// A short response pays nothing for it: the timer is made when the response first has to wait.
pub struct JwtPass {
    watch: Option<Watch>,
    // Boxed, since few passes have one and all are moved about.
    nonce: Option<Box<HeaderValue>>,
}

struct Watch {
    post: Arc<Post>,
    held: Held,
    timer: Option<Pin<Box<Sleep>>>,
}

impl JwtPass {
    /// Nothing is watched.
    pub(crate) fn free() -> Self {
        Self {
            watch: None,
            nonce: None,
        }
    }

    pub(crate) fn watching(post: Arc<Post>, held: Held) -> Self {
        Self {
            watch: Some(Watch {
                post,
                held,
                timer: None,
            }),
            nonce: None,
        }
    }

    pub(crate) fn with_nonce(mut self, nonce: &str) -> Self {
        self.nonce = HeaderValue::try_from(nonce).ok().map(Box::new);
        self
    }
}

impl Pass for JwtPass {
    //= RFC 9449 §8.2: a resource server can supply a new nonce [...] in the response.
    fn respond(&mut self, response: &mut response::Parts) {
        if let Some(nonce) = self.nonce.take() {
            response.headers.insert(DPOP_NONCE, *nonce);
        }
    }

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
            let left = match self.post.time_left(&self.held) {
                Ok(left) => left,
                Err(rejection) => return Poll::Ready(rejection),
            };
            // Outside a runtime there is no timer, and nobody who would wait for one.
            if Handle::try_current().is_err() {
                return Poll::Pending;
            }
            self.timer = Some(Box::pin(sleep(left.min(CHECK_EVERY))));
        }
    }
}

impl fmt::Debug for JwtPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtPass")
    }
}
