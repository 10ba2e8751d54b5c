//! One observer made of several.

use std::sync::Arc;

use bartizan_core::{Event, Observe};

/// Tells several observers, in the order in which they were added: metrics, audit, a detector of
/// your own.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe as _, observe_fn};
/// use bartizan_telemetry::FanOut;
///
/// let heard = Arc::new(AtomicUsize::new(0));
/// let ear = |heard: &Arc<AtomicUsize>| {
///     let heard = Arc::clone(heard);
///     Arc::new(observe_fn(move |_| {
///         heard.fetch_add(1, Ordering::Relaxed);
///     }))
/// };
/// let both = FanOut::new().add(ear(&heard)).add(ear(&heard));
///
/// const STARTED: Code = Code::new("example.started");
/// both.observe(&Event::Lifecycle(LifecycleEvent::new("example", LifecycleKind::Started, STARTED)));
/// assert_eq!(heard.load(Ordering::Relaxed), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FanOut(Vec<Arc<dyn Observe>>);

impl FanOut {
    /// Tells nobody yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds somebody who is told.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a builder's verb, and no sum of two things"
    )]
    pub fn add(mut self, observer: Arc<dyn Observe>) -> Self {
        self.0.push(observer);
        self
    }
}

impl Observe for FanOut {
    fn observe(&self, event: &Event<'_>) {
        for observer in &self.0 {
            observer.observe(event);
        }
    }
}
