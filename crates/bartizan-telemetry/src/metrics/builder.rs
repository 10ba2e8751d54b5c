//! What a metrics observer counts, and how much of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bartizan_core::{Clock, SystemClock};
use metrics::{KeyName, Recorder, SharedString, Unit};

use super::MetricsObserver;
use super::families::Families;
use crate::limits::Limits;
use crate::metric::{METRICS, Metric, MetricKind};

/// Describes a [`MetricsObserver`]; made by [`MetricsObserver::builder`].
#[must_use = "call build to get the observer"]
pub struct MetricsBuilder {
    recorder: Arc<dyn Recorder + Send + Sync>,
    limits: Limits,
    peers: BTreeSet<Box<str>>,
    clock: Arc<dyn Clock>,
}

impl MetricsBuilder {
    pub(super) fn new(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        Self {
            recorder,
            limits: Limits::new(),
            peers: BTreeSet::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets how many label values there may be. Default: [`Limits::new`].
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets decisions about requests of this peer be counted by its name, in
    /// `bartizan_peer_decisions_total`. The name is a SPIFFE ID, or a DNS name in lower case.
    ///
    /// Who may call is known to whoever writes the policy; who else has a certificate is not, so
    /// that no peer is on a label by default, and those that are not listed are one: `other`.
    pub fn allow_peer_label(mut self, name: &str) -> Self {
        self.peers.insert(Box::from(name));
        self
    }

    /// Sets the clock that the times of sources are read from. Default: the system's.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Describes every metric to the recorder, and makes the observer.
    pub fn build(self) -> MetricsObserver {
        for metric in METRICS {
            describe(&*self.recorder, metric);
        }
        MetricsObserver(Arc::new(Families::new(
            self.recorder,
            self.limits,
            self.peers,
            self.clock,
        )))
    }
}

fn describe(recorder: &dyn Recorder, metric: Metric) {
    let name = KeyName::from_const_str(metric.name);
    let help = SharedString::const_str(metric.help);
    let unit = metric.name.ends_with("_seconds").then_some(Unit::Seconds);
    match metric.kind {
        MetricKind::Counter => recorder.describe_counter(name, unit, help),
        MetricKind::Gauge => recorder.describe_gauge(name, unit, help),
        MetricKind::Histogram => recorder.describe_histogram(name, unit, help),
    }
}

impl fmt::Debug for MetricsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsBuilder")
            .field("limits", &self.limits)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}
