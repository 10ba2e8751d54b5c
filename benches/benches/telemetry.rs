//! What it costs to tell Prometheus of a decision, beside what one would write instead: the macro
//! of the facade with labels, and the atomic addition that both end in.
#![expect(clippy::print_stdout, reason = "a bench prints its report")]

use std::sync::Arc;

use bartizan_benches::Comparison;
use bartizan_core::{
    Code, Decision, Duty, Inspection, Observe, Outcome, SecurityContext, observe_fn,
};
use bartizan_telemetry::MetricsObserver;
use http::Request;
use metrics::{Key, Level, Metadata, Recorder as _, counter, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

const DENIED: Code = Code::new("bench.denied");

fn main() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let observer: Arc<dyn Observe> = Arc::new(MetricsObserver::builder(recorder).build());
    let telling = Duty::new("bench").with_observer(Arc::clone(&observer));
    let silent = Duty::new("bench").with_observer(Arc::new(observe_fn(|_| {})));

    let others = PrometheusBuilder::new().build_recorder();
    let metadata = Metadata::new("bench", Level::INFO, None);
    let bare = others.register_counter(&Key::from_static_name("bare_total"), &metadata);

    // A context holds so many decisions and counts the rest: what is measured is not its growth.
    let (mut parts, ()) = Request::new(()).into_parts();
    let context = SecurityContext::new(parts.uri.clone());
    let inspection = Inspection::new(&mut parts, &context);
    let denied = || Decision::new("bench", Outcome::Denied).with_code(DENIED);
    for _ in 0..100 {
        telling.record(&inspection, denied());
        silent.record(&inspection, denied());
    }

    let mut comparison = Comparison::new("A decision is told");
    comparison.case("recorded, and told to nobody who counts", || {
        silent.record(&inspection, denied());
    });
    comparison.case("told to MetricsObserver", || {
        telling.record(&inspection, denied());
    });
    comparison.case("the same with metrics::counter! and six labels", || {
        silent.record(&inspection, denied());
        with_local_recorder(&others, || {
            counter!(
                "bench_decisions_total",
                "layer" => "bench",
                "outcome" => Outcome::Denied.as_str(),
                "mode" => "enforce",
                "code" => DENIED.as_str(),
                "protocol" => "http",
                "route" => context.template().unwrap_or("none").to_owned(),
            )
            .increment(1);
        });
    });
    comparison.case("an addition to a counter that is at hand", || {
        silent.record(&inspection, denied());
        bare.increment(1);
    });
    comparison.run();

    let count = |duty: &Duty| {
        let record = || duty.record(&inspection, denied());
        allocation_counter::measure(record).count_total
    };
    println!("allocations: {}", count(&telling));
    assert_eq!(count(&telling), 0);
}
