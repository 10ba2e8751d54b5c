//! `[telemetry]`: who is told what the layers decide and do.

use std::net::SocketAddr;
use std::sync::Arc;

use bartizan_core::Observe;

use crate::config::entrance::is_plain;
use crate::config::meter::Meter;
use crate::config::problem::Problem;
use crate::config::scrape::Scrape;
use crate::config::section::section;
use crate::config::spans::{Spanning, Spans};
use crate::config::standard_error::StandardError;
use crate::config::surroundings::Surroundings;

section! {
    /// Tells what the layers decide and do. Nothing that a client sends becomes a label, and how
    /// many values labels have is bounded.
    Telemetry {
        /// Counts for Prometheus.
        prometheus: Option<Prometheus>,
        /// Counts with the meter that the program hands over (`Config::with_meter`), or else with the
        /// meter provider that it has installed for the whole process (`opentelemetry::global`)
        /// before the configuration is built, and tells decisions on the span that is current. Build
        /// with the feature `otel`.
        opentelemetry: bool = "false",
        /// Opens a span for each request.
        spans: Option<Spans>,
        /// Says it as events of `tracing`, to whatever subscriber there is. Build with the feature
        /// `tracing`.
        log: bool = "false",
        /// With `log`, says the peer, the principal and the client's address as well, which is
        /// personal data in most places.
        log_identities: bool = "false",
        /// Says on standard error, a line each, what happens beside requests: that a changed file is
        /// in force, or why it is not; that a source fails. Nothing of connections and requests.
        stderr: bool = "false",
        /// How many route templates are told apart: up to 65536.
        routes: usize = "200",
        /// How many combinations of label values one metric may have: up to 65536.
        series: usize = "2048",
        /// How many sources (files, issuers, stores) are told apart: up to 65536.
        sources: usize = "64",
    }
}

section! {
    /// Metrics for Prometheus, at `path`, at `address` or at both; build with the feature
    /// `prometheus`.
    Prometheus {
        /// The path at which the service itself answers with the metrics. Whoever asks meets every
        /// guard, unless `[exempt]` lists the path as well.
        path: Option<String>,
        /// The address of a listener of its own that answers with the metrics, in plaintext, at
        /// `path` or else `/metrics`. On another address than a loopback one, with
        /// `insecure_plaintext`.
        address: Option<SocketAddr>,
        /// Lets `address` be any: whoever reaches it reads which routes there are and which
        /// attacks fail.
        insecure_plaintext: bool = "false",
        /// SPIFFE IDs or DNS names of peers whose decisions are counted by name.
        peers: Vec<String>,
    }
}

const PATH: &str = "telemetry.prometheus";

/// No limit goes beyond this, as the crate has it.
const MOST: usize = 65_536;

/// What a configuration is watched by.
#[derive(Default)]
pub(crate) struct Watching {
    pub(crate) observers: Vec<Arc<dyn Observe>>,
    pub(crate) meter: Option<Meter>,
    pub(crate) scrape: Option<Scrape>,
    pub(crate) spans: Option<Spanning>,
}

impl Telemetry {
    /// What of it is wrong, as far as it is known without an address.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let lacking = |path, feature| Err(Problem::lacking(self.stands.0, path, feature));
        if self.opentelemetry && !cfg!(feature = "otel") {
            return lacking("telemetry.opentelemetry", "otel");
        }
        if self.log && !cfg!(feature = "tracing") {
            return lacking("telemetry.log", "tracing");
        }
        let wrong = |message: &str| Err(Problem::new(self.stands.0, "telemetry", message));
        if self.log_identities && !self.log {
            return wrong("`log_identities` is for `log = true`");
        }
        if [self.routes, self.series, self.sources]
            .iter()
            .any(|limit| *limit > MOST)
        {
            return wrong("no limit goes beyond 65536");
        }
        if let Some(spans) = &self.spans {
            spans.check()?;
        }
        match &self.prometheus {
            Some(prometheus) => prometheus.check(),
            None => Ok(()),
        }
    }
}

impl Telemetry {
    /// What there is without any feature.
    fn watching(&self) -> Watching {
        let mut watching = Watching::default();
        if self.stderr {
            watching.observers.push(Arc::new(StandardError));
        }
        watching
    }

    /// Whether somebody hears of what happens beside requests.
    pub(crate) fn is_heard(&self) -> bool {
        self.stderr || self.log || self.opentelemetry || self.prometheus.is_some()
    }
}

impl Prometheus {
    fn check(&self) -> Result<(), Problem> {
        if !cfg!(feature = "prometheus") {
            return Err(Problem::lacking(self.stands.0, PATH, "prometheus"));
        }
        let wrong = |message: &str| Err(Problem::new(self.stands.0, PATH, message));
        if self.path.is_none() && self.address.is_none() {
            return wrong("takes `path`, `address` or both");
        }
        let elsewhere = |address: SocketAddr| !address.ip().is_loopback();
        if self.address.is_some_and(elsewhere) && !self.insecure_plaintext {
            return wrong("`address` is no loopback one: that takes `insecure_plaintext`");
        }
        let Some(path) = &self.path else {
            return Ok(());
        };
        if !is_plain(path) {
            let message = format!("{path:?} is no path in its one spelling");
            return Err(Problem::new(
                self.stands.0,
                "telemetry.prometheus.path",
                message,
            ));
        }
        Ok(())
    }
}

#[cfg(not(feature = "telemetry"))]
impl Telemetry {
    pub(crate) async fn build(&self, _: &Surroundings) -> Result<Watching, Problem> {
        self.check()?;
        Ok(self.watching())
    }
}

#[cfg(feature = "telemetry")]
mod built {
    use bartizan_telemetry::{Limits, Measure, MeterLayer};

    use super::{Arc, Problem, Surroundings, Telemetry, Watching};

    impl Telemetry {
        pub(crate) async fn build(&self, with: &Surroundings) -> Result<Watching, Problem> {
            self.check()?;
            let mut watching = self.watching();
            let mut meters: Vec<Arc<dyn Measure>> = Vec::new();
            if let Some(spans) = &self.spans {
                watching.spans = Some(spans.build(with)?);
            }
            self.count(with, &mut watching, &mut meters);
            #[cfg(feature = "tracing")]
            if self.log {
                let observer = bartizan_telemetry::TracingObserver::new();
                watching.observers.push(Arc::new(match self.log_identities {
                    true => observer.with_identities(),
                    false => observer,
                }));
            }
            #[cfg(feature = "prometheus")]
            if let Some(prometheus) = &self.prometheus {
                let (observer, scrape) = prometheus.build(self.limits(), with).await?;
                watching.observers.push(Arc::clone(&observer) as _);
                meters.push(observer);
                watching.scrape = Some(scrape);
            }
            let mut meters = meters.into_iter();
            watching.meter = meters.next().map(|first| {
                let layer = MeterLayer::new(first).with_clock(with.clock.clone());
                meters.fold(layer, MeterLayer::add_meter).guard()
            });
            Ok(watching)
        }

        #[allow(dead_code, reason = "some builds have nobody to tell")]
        pub(crate) fn limits(&self) -> Limits {
            Limits::new()
                .with_routes(self.routes)
                .with_series(self.series)
                .with_sources(self.sources)
        }

        #[cfg(not(feature = "otel"))]
        fn count(&self, _: &Surroundings, _: &mut Watching, _: &mut Vec<Arc<dyn Measure>>) {}

        #[cfg(feature = "otel")]
        fn count(
            &self,
            with: &Surroundings,
            watching: &mut Watching,
            meters: &mut Vec<Arc<dyn Measure>>,
        ) {
            if self.opentelemetry {
                let meter = with.handed.meter.clone();
                let meter = meter.unwrap_or_else(|| opentelemetry::global::meter("bartizan"));
                let observer = bartizan_telemetry::OtelObserver::with_limits(&meter, self.limits());
                let observer = Arc::new(observer);
                watching.observers.push(Arc::clone(&observer) as _);
                meters.push(observer);
            }
        }
    }
}

#[cfg(feature = "prometheus")]
mod counted {
    use bartizan_telemetry::{DURATION_BUCKETS, Limits, MetricsObserver};
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

    use super::{Arc, PATH, Problem, Prometheus, Surroundings};
    use crate::config::scrape::Scrape;

    impl Prometheus {
        pub(super) async fn build(
            &self,
            limits: Limits,
            with: &Surroundings,
        ) -> Result<(Arc<MetricsObserver>, Scrape), Problem> {
            let duration = Matcher::Full("bartizan_request_duration_seconds".to_owned());
            let recorder = PrometheusBuilder::new();
            let recorder = recorder.set_buckets_for_metric(duration, &DURATION_BUCKETS);
            let recorder = recorder.map_err(|error| self.refuse(PATH, &error))?;
            let recorder = recorder.build_recorder();
            let handle = recorder.handle();
            let mut observer = MetricsObserver::builder(recorder)
                .with_limits(limits)
                .with_clock(with.clock.clone());
            for name in &self.peers {
                observer = observer.allow_peer_label(name);
            }
            let scrape = Scrape::begin(handle, self.path.as_deref(), self.address).await;
            let scrape =
                scrape.map_err(|error| self.refuse("telemetry.prometheus.address", &error))?;
            Ok((Arc::new(observer.build()), scrape))
        }
    }
}
