//! A recorder, and what a scrape of it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_core::{
    Check, Code, Duty, Enforcement, Guard, Inspection, Never, Rejection, RejectionKind,
};
use bartizan_telemetry::{DURATION_BUCKETS, MetricsBuilder, MetricsObserver};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub(crate) const DENIED: Code = Code::new("example.denied");
pub(crate) const BROKEN: Code = Code::new("example.broken");

/// What Prometheus would read.
pub(crate) struct Scrape(PrometheusHandle);

/// One line of the exposition format.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// Observers as they would be built, and their scrape.
pub(crate) fn recorded() -> (MetricsBuilder, Scrape) {
    let duration = Matcher::Full("bartizan_request_duration_seconds".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(duration, &DURATION_BUCKETS)
        .unwrap()
        .build_recorder();
    let scrape = Scrape(recorder.handle());
    (MetricsObserver::builder(recorder), scrape)
}

impl Scrape {
    pub(crate) fn text(&self) -> String {
        self.0.render()
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        let text = self.text();
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(Sample::read).collect()
    }

    /// The sum of all samples of this name that have these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &Sample, (label, value): &(&str, &str)| {
            sample.labels.get(*label).is_some_and(|it| it == value)
        };
        let samples = self.samples();
        let asked = samples
            .iter()
            .filter(|it| it.name == name && labels.iter().all(|label| has(it, label)));
        asked.map(|sample| sample.value).sum()
    }

    pub(crate) fn series(&self, name: &str) -> usize {
        self.samples().iter().filter(|it| it.name == name).count()
    }
}

impl Sample {
    /// Reads `name{label="value",label="value"} number`.
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}');
        let labels = labels.split("\",").filter(|label| !label.is_empty());
        Self {
            name: name.to_owned(),
            labels: labels
                .map(|label| {
                    let (name, value) = label.split_once("=\"").unwrap();
                    (name.to_owned(), value.trim_end_matches('"').to_owned())
                })
                .collect(),
            value: value.parse().unwrap(),
        }
    }
}

/// Refuses what its path asks for.
#[derive(Clone, Debug)]
pub(crate) struct Picky(Duty);

impl Picky {
    pub(crate) fn new(observer: MetricsObserver, enforcement: Enforcement) -> Self {
        let duty = Duty::new("example").with_enforcement(enforcement);
        Self(duty.with_observer(Arc::new(observer)))
    }
}

impl Guard for Picky {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.0)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
        let path = inspection.parts.uri.path();
        Check::Now(if path.ends_with("denied") {
            Err(Rejection::new(RejectionKind::Forbidden, DENIED))
        } else if path.ends_with("broken") {
            Err(Rejection::new(RejectionKind::Unavailable, BROKEN))
        } else {
            Ok(())
        })
    }
}
