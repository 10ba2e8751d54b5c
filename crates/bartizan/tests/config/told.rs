//! Whoever the file says is told.

use bartizan::config::Configured;
use bartizan_testkit::Host;

use crate::sample::{Folder, WHOLE};
use crate::service::{WEB, built, call};

/// A request that passes and one that is refused; gives the token of the first.
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
