//! `[telemetry.spans]`: a span for each request, with a tracer that the program hands over.

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::choice;
use crate::config::surroundings::Surroundings;

section! {
    /// Opens a span for each request, around everything else: current while the request is served
    /// and its response is sent, also where it is refused. With `opentelemetry = true`, it tells what
    /// the layers decide. The program hands over the tracer, by `Config::with_tracer`, and without
    /// one the configuration is not built. Build with the feature `otel`.
    Spans {
        /// Whose trace is continued, as `traceparent` tells it. That of anybody else becomes a link
        /// of a new one: a stranger who chooses ids of traces mixes into those of others, and has
        /// spans recorded at your cost.
        trust: TrustedTraces = "peers",
    }
}

choice! {
    /// Whose trace is continued.
    TrustedTraces {
        /// Everybody's: behind a gateway that removes `traceparent` from strangers.
        Anybody = "anybody",
        /// Nobody's.
        Nobody = "nobody",
        /// That of a peer whose connection proves who it is.
        Peers = "peers",
    }
}

pub(crate) const PATH: &str = "telemetry.spans";

impl Spans {
    pub(crate) fn check(&self) -> Result<(), Problem> {
        match cfg!(feature = "otel") {
            true => Ok(()),
            false => Err(Problem::lacking(self.stands.0, PATH, "otel")),
        }
    }
}

/// What opens spans.
#[cfg(feature = "otel")]
pub(crate) type Spanning = bartizan_telemetry::SpanLayer<opentelemetry::global::BoxedTracer>;

/// What opens spans, in a program without the feature `otel`. It has no value.
#[cfg(not(feature = "otel"))]
#[derive(Clone, Debug)]
pub(crate) enum Spanning {}

#[cfg(not(feature = "otel"))]
impl Spans {
    #[allow(dead_code, reason = "without any telemetry nobody asks")]
    pub(crate) fn build(&self, _: &Surroundings) -> Result<Spanning, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "otel"))
    }
}

#[cfg(feature = "otel")]
pub(crate) use self::handed::Handed;

#[cfg(feature = "otel")]
mod handed {
    use bartizan_telemetry::{SpanLayer, TraceTrust};
    use opentelemetry::global::BoxedTracer;
    use opentelemetry::metrics::Meter;
    use opentelemetry::trace::Tracer;

    use super::{PATH, Problem, Spanning, Spans, Surroundings, TrustedTraces};
    use crate::config::document::Config;

    /// What of OpenTelemetry the program handed over.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Handed {
        pub(crate) meter: Option<Meter>,
        spans: Option<Spanning>,
    }

    impl Config {
        /// Opens the spans of `[telemetry.spans]` with this tracer, such as one of an
        /// `SdkTracerProvider`. Where the file opens none, it is not used.
        #[must_use]
        pub fn with_tracer<T>(mut self, tracer: T) -> Self
        where
            T: Tracer + Send + Sync + 'static,
            T::Span: Send + Sync + 'static,
        {
            let tracer = BoxedTracer::new(Box::new(tracer));
            self.with.handed.spans = Some(SpanLayer::new(tracer));
            self
        }

        /// Counts what `telemetry.opentelemetry` counts with this meter. Unless one is handed over,
        /// with that of the meter provider of the whole process.
        #[must_use]
        pub fn with_meter(mut self, meter: Meter) -> Self {
            self.with.handed.meter = Some(meter);
            self
        }
    }

    impl Spans {
        pub(crate) fn build(&self, with: &Surroundings) -> Result<Spanning, Problem> {
            let Some(layer) = &with.handed.spans else {
                let message = "takes a tracer, which the program hands over: `Config::with_tracer`";
                return Err(Problem::new(self.stands.0, PATH, message));
            };
            Ok(layer.clone().with_trust(match self.trust {
                TrustedTraces::Anybody => TraceTrust::Anybody,
                TrustedTraces::Nobody => TraceTrust::Nobody,
                TrustedTraces::Peers => TraceTrust::Peers,
            }))
        }
    }
}
