//! Sheds what is too much.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Check, Duty, Enforcement, Guard, Inspection, Never, Observe, Pass};
use http::response;

use crate::error::{RateLimitError, RateLimitErrorKind};
use crate::load::{LoadLimit, Permit, Priority};

/// When a client may come back: by then others have finished, and one second is the least that
/// `Retry-After` can say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The guard of a [`LoadLayer`](crate::LoadLayer), to be chained with others.
#[derive(Clone)]
pub struct LoadGuard {
    limit: LoadLimit,
    priority: Option<Arc<Prioritize>>,
    duty: Duty,
}

type Prioritize = dyn Fn(&Inspection<'_>) -> Priority + Send + Sync;

/// A request's place among those that are served, held to the end of its response's body.
pub struct LoadPass(Permit);

impl LoadGuard {
    pub(crate) fn new(limit: LoadLimit) -> Self {
        Self {
            limit,
            priority: None,
            duty: Duty::new("load"),
        }
    }

    pub(crate) fn with_priority<F>(mut self, priority: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> Priority + Send + Sync + 'static,
    {
        self.priority = Some(Arc::new(priority));
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

    /// The limit, to be asked how much is going on.
    pub fn limit(&self) -> &LoadLimit {
        &self.limit
    }
}

impl Guard for LoadGuard {
    type Pass = LoadPass;
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<LoadPass, Never> {
        // Without priorities there is nobody for whom a part is kept free.
        let priority = match &self.priority {
            Some(priority) => priority(inspection),
            None => Priority::Critical,
        };
        let permit = self.limit.enter(priority).ok_or_else(|| {
            let kind = RateLimitErrorKind::Overloaded;
            RateLimitError::new(kind, Some(RETRY_AFTER)).into_rejection()
        });
        Check::Now(permit.map(LoadPass))
    }
}

impl Pass for LoadPass {
    fn respond(&mut self, _: &mut response::Parts) {
        self.0.responded();
    }
}

impl fmt::Debug for LoadGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadGuard")
            .field("limit", &self.limit)
            .field("duty", &self.duty)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LoadPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoadPass")
    }
}
