//! The series that are registered, each once.

use std::collections::BTreeSet;
use std::sync::Arc;

use bartizan_core::Clock;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};

use crate::family::{Family, Place};
use crate::label::OTHER;
use crate::limits::Limits;
use crate::metric::{
    DECISIONS, FOLDED, LIFECYCLE_EVENTS, Metric, PEER_DECISIONS, REQUEST_DURATION,
    REQUESTS_IN_FLIGHT, SOURCE_FAILURE, SOURCE_SUCCESS,
};
use crate::series::Series;

const METADATA: Metadata<'static> =
    Metadata::new("bartizan_telemetry", Level::INFO, Some(module_path!()));

pub(super) struct Families {
    recorder: Arc<dyn Recorder + Send + Sync>,
    clock: Arc<dyn Clock>,
    peers: BTreeSet<Box<str>>,
    routes: Series<1, ()>,
    pub(super) decisions: Family<6, Counter>,
    peer_decisions: Family<3, Counter>,
    lifecycle_events: Family<3, Counter>,
    successes: Series<2, Gauge>,
    failures: Series<2, Gauge>,
    pub(super) durations: Family<4, Histogram>,
    in_flight: Family<1, Gauge>,
    folded: Family<1, Counter>,
    noop: Noop,
}

/// What counts nothing, for what has no place.
struct Noop {
    counter: Counter,
    gauge: Gauge,
    histogram: Histogram,
}

impl Families {
    pub(super) fn new(
        recorder: Arc<dyn Recorder + Send + Sync>,
        limits: Limits,
        peers: BTreeSet<Box<str>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            recorder,
            clock,
            peers,
            routes: Series::new(limits.routes()),
            decisions: Family::new(DECISIONS, limits.series()),
            peer_decisions: Family::new(PEER_DECISIONS, limits.series()),
            lifecycle_events: Family::new(LIFECYCLE_EVENTS, limits.series()),
            successes: Series::new(limits.sources()),
            failures: Series::new(limits.sources()),
            durations: Family::new(REQUEST_DURATION, limits.series()),
            in_flight: Family::new(REQUESTS_IN_FLIGHT, limits.series()),
            folded: Family::new(FOLDED, limits.series()),
            noop: Noop {
                counter: Counter::noop(),
                gauge: Gauge::noop(),
                histogram: Histogram::noop(),
            },
        }
    }

    /// Whether any peer is listed.
    pub(super) fn tells_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    /// The name of a peer, if it is listed.
    pub(super) fn listed(&self, name: &str) -> Option<&str> {
        self.peers.get(name).map(|name| &**name)
    }

    /// The label of a route: the template, while there is room for it.
    pub(super) fn route<'t>(&self, template: &'t str) -> &'t str {
        match self.routes.find_or_add([template], || ()) {
            Some(()) => template,
            None => {
                self.fold("route");
                OTHER
            }
        }
    }

    pub(super) fn decision(&self, values: [&str; 6]) -> &Counter {
        self.of(&self.decisions, values, &self.noop.counter, |key| {
            self.recorder.register_counter(key, &METADATA)
        })
    }

    pub(super) fn peer_decision(&self, values: [&str; 3]) -> &Counter {
        self.of(&self.peer_decisions, values, &self.noop.counter, |key| {
            self.recorder.register_counter(key, &METADATA)
        })
    }

    pub(super) fn lifecycle_event(&self, values: [&str; 3]) -> &Counter {
        self.of(&self.lifecycle_events, values, &self.noop.counter, |key| {
            self.recorder.register_counter(key, &METADATA)
        })
    }

    pub(super) fn duration(&self, values: [&str; 4]) -> &Histogram {
        self.of(&self.durations, values, &self.noop.histogram, |key| {
            self.recorder.register_histogram(key, &METADATA)
        })
    }

    pub(super) fn in_flight(&self, protocol: &str) -> &Gauge {
        self.of(&self.in_flight, [protocol], &self.noop.gauge, |key| {
            self.recorder.register_gauge(key, &METADATA)
        })
    }

    pub(super) fn succeeded(&self, layer: &str, source: &str) {
        self.stamp(&self.successes, SOURCE_SUCCESS, [layer, source]);
    }

    pub(super) fn failed(&self, layer: &str, source: &str) {
        self.stamp(&self.failures, SOURCE_FAILURE, [layer, source]);
    }

    /// Notes the time. A time that stood for several sources would tell of none of them, so that
    /// a source for which there is no room has none.
    fn stamp(&self, gauges: &Series<2, Gauge>, metric: Metric, values: [&str; 2]) {
        let register = || {
            self.recorder
                .register_gauge(&key(&metric, values), &METADATA)
        };
        match gauges.find_or_add(values, register) {
            Some(gauge) => gauge.set(self.clock.wall().since_unix_epoch().as_secs_f64()),
            None => self.fold("source"),
        }
    }

    fn of<'f, const N: usize, V>(
        &self,
        family: &'f Family<N, V>,
        values: [&str; N],
        nowhere: &'f V,
        register: impl Fn(&Key) -> V,
    ) -> &'f V {
        if let Some(series) = family.find(values) {
            return series;
        }
        match family.place(values, |metric, values| register(&key(metric, values))) {
            Place::Own(series) => series,
            Place::Folded(series) => {
                self.fold("series");
                series
            }
            Place::Nowhere => {
                self.fold("series");
                nowhere
            }
        }
    }

    fn fold(&self, label: &'static str) {
        let register = |metric: &Metric, values: [&str; 1]| {
            self.recorder
                .register_counter(&key(metric, values), &METADATA)
        };
        if let Place::Own(counter) | Place::Folded(counter) = self.folded.place([label], register) {
            counter.increment(1);
        }
    }
}

fn key<const N: usize>(metric: &Metric, values: [&str; N]) -> Key {
    let labels: Vec<Label> = metric
        .labels
        .iter()
        .zip(values)
        .map(|(label, value)| Label::new(*label, value.to_owned()))
        .collect();
    Key::from_parts(metric.name, labels)
}
