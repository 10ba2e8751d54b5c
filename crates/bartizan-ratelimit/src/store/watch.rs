//! Who watches a store that does not answer, and cells that nobody spends.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind};
use bartizan_source::{Backoff, random};
use tokio::time::{sleep, timeout};

use super::seam::StoreError;
use super::shared::{SharedLimiter, State};

/// The store does not answer; what is declared for that holds.
const LOST: Code = Code::new("ratelimit.store_lost");
/// The store answers again.
const BACK: Code = Code::new("ratelimit.store_back");

/// How soon the store is asked again, at first and at last.
const PROBES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// How often cells are looked for that can no longer be spent.
const SWEEPS: Duration = Duration::from_millis(250);

impl SharedLimiter {
    /// Minds whether the store has answered.
    pub(super) fn mind(&self, error: Option<&StoreError>) {
        let failed = error.is_some_and(StoreError::is_failure);
        if self.0.breaker.record(!failed) {
            self.tell(LifecycleKind::SourceFailed, LOST, error);
            tokio::spawn(probe(Arc::downgrade(&self.0)));
        }
    }

    /// Looks after cells in hand as long as there are any.
    pub(super) fn begin_sweeping(&self) {
        if !self.0.is_swept.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }

    fn tell(&self, kind: LifecycleKind, code: Code, error: Option<&StoreError>) {
        let Some(observer) = &self.0.observer else {
            return;
        };
        let mut event = LifecycleEvent::new("ratelimit", kind, code)
            .with_subject(self.0.store.source().as_str());
        if let Some(error) = error {
            event = event.with_detail(error);
        }
        observer.observe(&Event::Lifecycle(event));
    }
}

/// Asks until there is an answer. Nobody waits for it.
async fn probe(state: Weak<State>) {
    let mut backoff = Backoff::new(PROBES.0, PROBES.1);
    loop {
        // Not at once: the jitter may be nothing.
        sleep(PROBES.0 / 4 + backoff.next(random())).await;
        let Some(limiter) = state.upgrade().map(SharedLimiter) else {
            return;
        };
        let answer = timeout(limiter.0.sharing.deadline, limiter.0.store.probe()).await;
        if matches!(answer, Ok(Ok(()))) {
            limiter.0.breaker.close();
            limiter.tell(LifecycleKind::SourceRefreshed, BACK, None);
            return;
        }
    }
}

async fn sweep(state: Weak<State>) {
    loop {
        sleep(SWEEPS).await;
        let Some(limiter) = state.upgrade().map(SharedLimiter) else {
            return;
        };
        let leftovers = limiter.0.leases.sweep(limiter.0.limiter.now());
        limiter.give_back(leftovers).await;
        if limiter.0.leases.len() == 0 {
            limiter.0.is_swept.store(false, Ordering::Release);
            // Somebody may have come in between, and have seen that it was swept.
            if limiter.0.leases.len() > 0 {
                limiter.begin_sweeping();
            }
            return;
        }
    }
}
