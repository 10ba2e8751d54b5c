//! The one table of metrics.

use std::fmt;

/// How a metric moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is a distribution of values, in buckets.
    Histogram,
}

/// One metric: what it is called, and what may stand on it.
///
/// Names are those of Prometheus: `bartizan_` in front, the unit behind it, `_total` behind what
/// only grows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: MetricKind,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it tells, in one sentence.
    pub help: &'static str,
}

/// Every metric of this crate. The dashboard and the alert rules in `docs/grafana` are held
/// against this table by a test.
pub const METRICS: [Metric; 8] = [
    DECISIONS,
    PEER_DECISIONS,
    LIFECYCLE_EVENTS,
    SOURCE_SUCCESS,
    SOURCE_FAILURE,
    REQUEST_DURATION,
    REQUESTS_IN_FLIGHT,
    FOLDED,
];

pub(crate) const DECISIONS: Metric = Metric {
    name: "bartizan_decisions_total",
    kind: MetricKind::Counter,
    labels: &["layer", "outcome", "mode", "code", "protocol", "route"],
    help: "Decisions of layers about requests.",
};

pub(crate) const PEER_DECISIONS: Metric = Metric {
    name: "bartizan_peer_decisions_total",
    kind: MetricKind::Counter,
    labels: &["peer", "layer", "outcome"],
    help: "Decisions about requests of the peers that are listed for it; all others are one.",
};

pub(crate) const LIFECYCLE_EVENTS: Metric = Metric {
    name: "bartizan_lifecycle_events_total",
    kind: MetricKind::Counter,
    labels: &["layer", "kind", "code"],
    help: "Events outside any request: handshakes, reloads, rotations, failures.",
};

pub(crate) const SOURCE_SUCCESS: Metric = Metric {
    name: "bartizan_source_last_success_timestamp_seconds",
    kind: MetricKind::Gauge,
    labels: &["layer", "source"],
    help: "When a source last said that it works, in seconds since the Unix epoch.",
};

pub(crate) const SOURCE_FAILURE: Metric = Metric {
    name: "bartizan_source_last_failure_timestamp_seconds",
    kind: MetricKind::Gauge,
    labels: &["layer", "source"],
    help: "When a source last said that it fails, in seconds since the Unix epoch.",
};

pub(crate) const REQUEST_DURATION: Metric = Metric {
    name: "bartizan_request_duration_seconds",
    kind: MetricKind::Histogram,
    labels: &["protocol", "method", "route", "status"],
    help: "From the head of a request to the end of its response's body.",
};

pub(crate) const REQUESTS_IN_FLIGHT: Metric = Metric {
    name: "bartizan_requests_in_flight",
    kind: MetricKind::Gauge,
    labels: &["protocol"],
    help: "Requests whose response has not ended.",
};

pub(crate) const FOLDED: Metric = Metric {
    name: "bartizan_telemetry_folded_total",
    kind: MetricKind::Counter,
    labels: &["label"],
    help: "Label values that were counted as other, because a limit was reached.",
};

/// Upper bounds of the buckets of `bartizan_request_duration_seconds`, in seconds: those that the
/// semantic conventions of OpenTelemetry give for requests, and three below for a service that
/// answers from memory. Exporters take them by configuration.
pub const DURATION_BUCKETS: [f64; 17] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
];

impl MetricKind {
    /// The word for it in the exposition format of Prometheus.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl fmt::Display for Metric {
    /// `name{label, label}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{{}}}", self.name, self.labels.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for metric in METRICS {
            assert!(metric.name.starts_with("bartizan_"), "{metric}");
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == MetricKind::Counter, "{metric}");
            let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(plain(metric.name), "{metric}");
            assert!(metric.labels.iter().all(|label| plain(label)), "{metric}");
            let reserved = ["le", "quantile", "job", "instance"];
            assert!(
                !metric.labels.iter().any(|it| reserved.contains(it)),
                "{metric}"
            );
            assert!(metric.help.ends_with('.'), "{metric}");
        }
    }

    #[test]
    fn no_name_is_there_twice() {
        let mut names = METRICS.map(|metric| metric.name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }

    #[test]
    fn buckets_rise() {
        assert!(DURATION_BUCKETS.is_sorted_by(|a, b| a < b));
    }
}
