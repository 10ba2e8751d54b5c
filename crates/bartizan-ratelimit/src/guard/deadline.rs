//! Ends what takes too long.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Check, Duty, Enforcement, Guard, Inspection, Never, Observe, Pass, Rejection};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::deadline::read_grpc_timeout;
use crate::error::{RateLimitError, RateLimitErrorKind};

/// How a gRPC client tells for how long it waits.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The guard of a [`DeadlineLayer`](crate::DeadlineLayer), to be chained with others.
#[derive(Clone)]
pub struct DeadlineGuard {
    limit: Duration,
    special: Option<Arc<Special>>,
    duty: Duty,
}

type Special = dyn Fn(&Inspection<'_>) -> Option<Duration> + Send + Sync;

/// By when a request must be done; in the extensions of each that has a deadline, for handlers
/// that call others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deadline(Instant);

impl Deadline {
    /// How much time is left: what to give to whoever is called on the request's behalf.
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// Ends a response whose time is over.
///
/// A short response pays no timer: it is made when the response first has to wait.
pub struct DeadlinePass {
    deadline: Option<Deadline>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl DeadlineGuard {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            special: None,
            duty: Duty::new("deadline"),
        }
    }

    pub(crate) fn with_limit_for<F>(mut self, special: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> Option<Duration> + Send + Sync + 'static,
    {
        self.special = Some(Arc::new(special));
        self
    }

    pub(crate) fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.duty = self.duty.with_enforcement(enforcement);
        self
    }

    pub(crate) fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.duty = self.duty.with_observer(observer);
        self
    }

    fn admit(&self, inspection: &mut Inspection<'_>) -> Result<DeadlinePass, RateLimitErrorKind> {
        let special = self.special.as_ref();
        let ours = special.and_then(|special| special(inspection));
        let ours = ours.unwrap_or(self.limit);
        let limit = match theirs(inspection)? {
            Some(theirs) => ours.min(theirs),
            None => ours,
        };
        if limit.is_zero() {
            return Err(RateLimitErrorKind::DeadlineExceeded);
        }
        // What lies beyond all time is none.
        let deadline = Instant::now().checked_add(limit).map(Deadline);
        if let Some(deadline) = deadline {
            inspection.parts.extensions.insert(deadline);
        }
        Ok(DeadlinePass {
            deadline,
            timer: None,
        })
    }
}

/// How long a gRPC client waits, if it says so.
fn theirs(inspection: &Inspection<'_>) -> Result<Option<Duration>, RateLimitErrorKind> {
    if !inspection.protocol.is_grpc() {
        return Ok(None);
    }
    let mut timeouts = inspection.parts.headers.get_all(GRPC_TIMEOUT).iter();
    match (timeouts.next(), timeouts.next()) {
        (None, _) => Ok(None),
        (Some(timeout), None) => match read_grpc_timeout(timeout.as_bytes()) {
            Some(timeout) => Ok(Some(timeout)),
            None => Err(RateLimitErrorKind::BadTimeout),
        },
        (Some(_), Some(_)) => Err(RateLimitErrorKind::BadTimeout),
    }
}

impl Guard for DeadlineGuard {
    type Pass = DeadlinePass;
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<DeadlinePass, Never> {
        let verdict = self.admit(inspection);
        Check::Now(verdict.map_err(|kind| RateLimitError::new(kind, None).into_rejection()))
    }
}

impl Pass for DeadlinePass {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        // Outside a runtime there is no timer, and nobody who would wait for one.
        let (Some(Deadline(at)), Ok(_)) = (self.deadline, Handle::try_current()) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        timer.as_mut().poll(cx).map(|()| {
            let kind = RateLimitErrorKind::DeadlineExceeded;
            RateLimitError::new(kind, None).into_rejection()
        })
    }
}

impl fmt::Debug for DeadlineGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineGuard")
            .field("limit", &self.limit)
            .field("duty", &self.duty)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DeadlinePass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlinePass")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
