//! Whoever the file says is told.

#[cfg(any(feature = "otel", feature = "tracing"))]
use bartizan::config::Configured;
#[cfg(any(feature = "otel", feature = "tracing"))]
use bartizan_testkit::Host;

use crate::sample::Folder;
#[cfg(any(feature = "otel", feature = "tracing"))]
use crate::sample::WHOLE;
use crate::service::built;
#[cfg(any(feature = "otel", feature = "tracing"))]
use crate::service::{WEB, call};

/// A request that passes and one that is refused; gives the token of the first.
#[cfg(any(feature = "otel", feature = "tracing"))]
async fn two_requests(folder: &Folder, configured: &Configured) -> String {
    let token = folder.mint.token().audience("orders").scope("echo");
    let token = token.sign().unwrap();
    for (address, token, expected) in [
        ("192.0.2.1", Some(&*token), None),
        ("192.0.2.2", None, Some("jwt.missing")),
    ] {
        let call = call(address, Some(WEB), token);
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), expected);
    }
    token
}

#[cfg(feature = "otel")]
#[tokio::test]
async fn opentelemetry_counts_what_passed_and_what_was_refused() {
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    // As a program does it. No other test of this process is told by OpenTelemetry.
    opentelemetry::global::set_meter_provider(provider.clone());
    let folder = Folder::new();
    let text = format!("{WHOLE}[telemetry]\nopentelemetry = true\n");
    let configured = built(&folder, &text).await;
    two_requests(&folder, &configured).await;

    provider.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap();
    let metrics = exported
        .last()
        .unwrap()
        .scope_metrics()
        .flat_map(|it| it.metrics());
    let (mut decisions, mut requests) = (Vec::new(), 0);
    for metric in metrics {
        match (metric.name(), metric.data()) {
            ("bartizan.decisions", AggregatedMetrics::U64(MetricData::Sum(sum))) => {
                decisions.extend(sum.data_points().map(|point| {
                    let of = |name: &str| {
                        let mut attributes = point.attributes();
                        let found = attributes.find(|it| it.key.as_str() == name);
                        found.map_or_else(String::new, |it| it.value.as_str().into_owned())
                    };
                    let names = [of("bartizan.layer"), of("bartizan.code"), of("http.route")];
                    (names.join(" "), point.value())
                }));
            }
            (
                "http.server.request.duration",
                AggregatedMetrics::F64(MetricData::Histogram(times)),
            ) => {
                requests += times.data_points().map(|it| it.count()).sum::<u64>();
            }
            _ => {}
        }
    }
    assert_eq!(requests, 2);
    // What passes has no code.
    for expected in ["jwt jwt.missing /echo", "authz  /echo"] {
        let expected = (expected.to_owned(), 1);
        assert!(decisions.contains(&expected), "{expected:?} {decisions:?}");
    }
}

mod stderr {
    use std::env;
    use std::process::Command;

    use super::{Folder, built};

    const OPEN: &str = "[[rules.rule]]\nname = 'all'\neffect = 'allow'\n";
    const PART: &str = "BARTIZAN_TOLD_ON_STDERR";

    #[test]
    fn a_slip_is_said_on_standard_error_if_that_is_asked_for() {
        for (options, is_said) in [("stderr = true", true), ("", false)] {
            let said = Command::new(env::current_exe().unwrap())
                .args(["--exact", "told::stderr::apart", "--ignored", "--nocapture"])
                .env(PART, options)
                .output()
                .unwrap();
            let out = String::from_utf8(said.stdout).unwrap();
            assert!(out.contains("1 passed"), "{out}");
            let said = String::from_utf8(said.stderr).unwrap();
            let expected = ["config.refused", "line 1, column 2: bnas: unknown option"];
            let line = said.lines().find(|line| line.starts_with("bartizan: "));
            let is_found = line.is_some_and(|line| expected.iter().all(|it| line.contains(it)));
            assert_eq!(is_found, is_said, "{options}: {said}");
        }
    }

    #[tokio::test]
    #[ignore = "started by a_slip_is_said_on_standard_error_if_that_is_asked_for"]
    async fn apart() {
        let Ok(options) = env::var(PART) else {
            return;
        };
        let folder = Folder::new();
        let text = format!("reload_interval = '0s'\n{OPEN}[telemetry]\n{options}\n");
        let configured = built(&folder, &text).await;
        folder.write("bartizan.toml", "[bnas]");
        configured.reload().await.unwrap_err();
    }
}

#[cfg(feature = "otel")]
mod spans {
    use bartizan::config::Config;
    use bartizan_testkit::Host;
    use http::{HeaderName, HeaderValue};
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

    use super::{Folder, WEB, WHOLE, call};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    struct Sdk {
        traces: SdkTracerProvider,
        exporter: InMemorySpanExporter,
    }

    impl Sdk {
        fn new() -> Self {
            let exporter = InMemorySpanExporter::default();
            let traces = SdkTracerProvider::builder();
            let traces = traces.with_simple_exporter(exporter.clone()).build();
            Self { traces, exporter }
        }

        /// The span of the one request since the last time.
        fn span(&self) -> SpanData {
            let spans = self.exporter.get_finished_spans().unwrap();
            self.exporter.reset();
            let [span] = &spans[..] else {
                panic!("{spans:?}")
            };
            span.clone()
        }
    }

    fn text_of(span: &SpanData, key: &str) -> Option<String> {
        let found = span.attributes.iter().find(|it| it.key.as_str() == key);
        found.map(|it| it.value.to_string())
    }

    #[tokio::test]
    async fn each_request_has_a_span_in_a_trace_of_whom_the_file_trusts() {
        let sdk = Sdk::new();
        for (options, of_peer, of_stranger) in [
            ("", true, false),
            ("trust = 'peers'", true, false),
            ("trust = 'anybody'", true, true),
            ("trust = 'nobody'", false, false),
        ] {
            let folder = Folder::new();
            let text =
                format!("{WHOLE}[telemetry]\nopentelemetry = true\n[telemetry.spans]\n{options}\n");
            let config = Config::load(folder.write("bartizan.toml", &text)).unwrap();
            // A program that checks the file has no tracer.
            config.check_files().unwrap();
            let config = config.with_tracer(sdk.traces.tracer("orders"));
            let config = config.with_meter(SdkMeterProvider::default().meter("orders"));
            let configured = config.build().await.unwrap();
            let token = folder.mint.token().audience("orders").scope("echo");
            let token = token.sign().unwrap();
            for (id, continues, expected) in [
                (Some(WEB), of_peer, None),
                (None, of_stranger, Some("mtls.no_peer")),
            ] {
                let call = call("192.0.2.1", id, Some(&token)).add_header(
                    HeaderName::from_static("traceparent"),
                    HeaderValue::try_from(format!("00-{TRACE}-00f067aa0ba902b7-01")).unwrap(),
                );
                let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
                assert_eq!(answer.code().as_deref(), expected, "{options}");
                drop(answer);
                let span = sdk.span();
                let trace = span.span_context.trace_id().to_string();
                assert_eq!(trace == TRACE, continues, "{options} {id:?}");
                // What is not continued is linked.
                assert_eq!(span.links.iter().count(), usize::from(!continues));
                assert_eq!(text_of(&span, "http.route").as_deref(), Some("/echo"));
                // The span is outside of everything that refuses.
                assert_eq!(
                    text_of(&span, "error.type").as_deref(),
                    expected,
                    "{options}"
                );
                let status = if expected.is_some() { "401" } else { "200" };
                let said = text_of(&span, "http.response.status_code");
                assert_eq!(said.as_deref(), Some(status), "{options} {id:?}");
            }
        }
    }

    #[tokio::test]
    async fn without_a_tracer_there_are_no_spans_and_the_line_is_told() {
        let folder = Folder::new();
        let file = folder.write(
            "bartizan.toml",
            "[telemetry]\nlog = false\n[telemetry.spans]\n",
        );
        let error = Config::load(&file).unwrap().build().await.unwrap_err();
        let [problem] = error.problems() else {
            panic!("{error}")
        };
        assert_eq!(
            (problem.line(), problem.path()),
            (Some(3), "telemetry.spans")
        );
        assert!(problem.message().contains("Config::with_tracer"), "{error}");
        // Nor are there any that the file does not ask for.
        let sdk = Sdk::new();
        let config = Config::load(folder.write("bartizan.toml", "[telemetry]\n")).unwrap();
        let config = config.with_tracer(sdk.traces.tracer("orders"));
        let configured = config.build().await.unwrap();
        let call = call("192.0.2.1", None, None);
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("authz.denied"));
        drop(answer);
        assert!(sdk.exporter.get_finished_spans().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_meter_that_is_handed_over_counts_in_place_of_the_one_of_the_process() {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let text = "[telemetry]\nopentelemetry = true";
        let config = Config::from_toml(text, "").unwrap();
        let config = config.with_meter(provider.meter("orders"));
        let configured = config.build().await.unwrap();
        let call = call("192.0.2.1", None, None);
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("authz.denied"));
        provider.force_flush().unwrap();
        let exported = exporter.get_finished_metrics().unwrap();
        let mut scopes = exported.iter().flat_map(|it| it.scope_metrics());
        let counted = scopes.any(|scope| {
            let mut metrics = scope.metrics();
            scope.scope().name() == "orders" && metrics.any(|it| it.name() == "bartizan.decisions")
        });
        assert!(counted, "{exported:?}");
    }
}

#[cfg(feature = "tracing")]
mod log {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::util::SubscriberInitExt as _;

    use super::{Folder, WHOLE, built, two_requests};

    /// What was written.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    // Everything of a request happens on the thread of the test, whose subscriber it is.
    #[tokio::test]
    async fn a_log_says_what_was_refused_and_of_whom_if_asked_for() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_ansi(false)
            .finish();
        let _ours = subscriber.set_default();
        for (options, says_who) in [("log = true", false), ("log_identities = true", true)] {
            let options = options.replace("log_id", "log = true\nlog_id");
            let folder = Folder::new();
            let text = format!("{WHOLE}[telemetry]\n{options}\n");
            let configured = built(&folder, &text).await;
            let token = two_requests(&folder, &configured).await;
            let written = std::mem::take(&mut *log.0.lock().unwrap());
            let said = String::from_utf8(written).unwrap();
            let refused: Vec<&str> = said.lines().filter(|it| it.contains("denied")).collect();
            let [line] = refused[..] else {
                panic!("{said}")
            };
            assert!(
                line.contains("bartizan::decision") && line.contains("code=\"jwt.missing\""),
                "{line}"
            );
            assert_eq!(line.contains("192.0.2.2"), says_who, "{line}");
            assert!(!said.contains(&token), "{said}");
        }
    }
}
