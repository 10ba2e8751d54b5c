//! Tells observers how a source fares.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, Observe};

use crate::error::SourceError;

/// The component's name in events.
const LAYER: &str = "source";

/// A source published a new version.
pub(crate) const REFRESHED: Code = Code::new("source.refreshed");
/// After failures, a source found that the version it had published is still right.
pub(crate) const RECOVERED: Code = Code::new("source.recovered");
/// A source could not publish; the last good version, if there is one, stays in force.
pub(crate) const FAILED: Code = Code::new("source.failed");
/// A source has failed for so long that its last good version is no longer served.
pub(crate) const STALE: Code = Code::new("source.stale");

/// Reports under one source's name.
#[derive(Clone)]
pub(crate) struct Reporter {
    name: Arc<str>,
    observer: Option<Arc<dyn Observe>>,
}

impl Reporter {
    pub(crate) fn new(name: Arc<str>, observer: Option<Arc<dyn Observe>>) -> Self {
        Self { name, observer }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn refreshed(&self, generation: u64) {
        let detail = format_args!("generation {generation}").to_string();
        self.tell(LifecycleKind::SourceRefreshed, REFRESHED, &detail);
    }

    pub(crate) fn recovered(&self) {
        self.tell(LifecycleKind::SourceRefreshed, RECOVERED, &"unchanged");
    }

    pub(crate) fn failed(&self, error: &SourceError) {
        self.tell(LifecycleKind::SourceFailed, FAILED, &error.whole_message());
    }

    pub(crate) fn stale(&self, error: &SourceError) {
        self.tell(LifecycleKind::SourceFailed, STALE, &error.whole_message());
    }

    fn tell(&self, kind: LifecycleKind, code: Code, detail: &(dyn fmt::Display + Sync)) {
        if let Some(observer) = &self.observer {
            let event = LifecycleEvent::new(LAYER, kind, code)
                .with_subject(&self.name)
                .with_detail(detail);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter").field(&self.name).finish()
    }
}
