//! The audit log beside `tracing` with `tracing-appender`, which is what a service would take
//! instead: a layer that tells the same facts at the same time, once the body of the answer has
//! ended, as JSON, by a thread of its own. Then what the ledger bears.
//!
//! `cargo bench --bench audit` runs all; `AUDIT_SECONDS=60` makes the sustained run longer.
//! `AUDIT_LOOP=handler`, `tracing`, `audit`, `unmet` or `outermost` sends requests through that case
//! and ends: 20,000 or as many as `AUDIT_REQUESTS` says, for whoever counts instructions.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures time, prints, and may panic"
)]

#[path = "support/recorded.rs"]
mod recorded;
#[path = "support/traced.rs"]
mod traced;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bartizan_audit::{
    Audit, AuditConfig, AuditLayer, Durability, Ledger, LedgerBuilder, Rule, Verifier,
};
use bartizan_benches::Comparison;
use tower::{Layer, Service};

use self::recorded::{Facts, Handler, PAID, drain, entrance, send};
use self::traced::{Traced, subscriber};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root = std::env::var_os("AUDIT_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = root.join(format!(
            "bartizan-audit-bench-{name}-{}",
            std::process::id()
        ));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn builder(&self) -> LedgerBuilder {
        Ledger::builder(&self.0, "bench.example/audit")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn service(ledger: &Ledger, durability: Durability, body: &'static [u8]) -> Audit<Handler> {
    let rule = Rule::metadata().with_durability(durability);
    let config = AuditConfig::builder(ledger.clone())
        .add_rule(rule)
        .build()
        .unwrap();
    let layer = AuditLayer::new(config).with_entrance(entrance());
    layer.layer(Handler(Facts::new(), body))
}

/// What a request pays: the layers are given a request that has its context; one is outermost, and
/// makes it.
fn request_path() {
    let folder = Folder::new("path");
    let builder = folder.builder().with_buffer_bytes(256 << 20);
    let ledger = builder.open().unwrap();
    let (subscriber, guard) = subscriber(&folder.0.join("lines.json"));
    let facts = Facts::new();
    let measured = tracing::subscriber::with_default(subscriber, || {
        let mut bare = Handler(facts.clone(), PAID);
        let (mut unmet, mut traced) = (bare.clone(), Traced(bare.clone()));
        let mut audited = service(&ledger, Durability::Buffered, PAID);
        let mut outermost = audited.clone();
        let mut comparison = Comparison::new("What recording costs a request");
        comparison.case("handler", || send(&mut bare, facts.met()));
        comparison.case("tracing, tracing-appender, JSON", || {
            send(&mut traced, facts.met())
        });
        comparison.case("audit layer", || send(&mut audited, facts.met()));
        comparison.case("handler, no context", || send(&mut unmet, facts.request()));
        comparison.case("audit layer that makes the context", || {
            send(&mut outermost, facts.request())
        });
        // Neither of the two threads that write keeps up with a loop.
        comparison.case("(a pause for both writers)", || {
            std::thread::sleep(Duration::from_millis(8));
        });
        comparison.run()
    });
    drop(guard);
    let report = ledger.shutdown_blocking(Duration::from_secs(60));
    println!("audit: {:?}", report.totals);
    let (tracing, audit) = (measured[1].beyond, measured[2].beyond);
    println!(
        "per request beyond the handler: tracing {tracing:.0} ns, audit {audit:.0} ns, 1/{:.1}; \
         audit with the context that it makes {:.0} ns",
        tracing / audit,
        measured[4].beyond - measured[3].beyond,
    );
}

/// What a request's own thread works, in nanoseconds: without what it waits, and without what the
/// threads that write take from it on a machine with few cores.
fn worked(cases: &mut [&mut dyn FnMut() -> usize]) -> Vec<f64> {
    const TURNS: usize = 300;
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let mut took = vec![Vec::new(); cases.len()];
    for _ in 0..TURNS {
        for (run, took) in cases.iter_mut().zip(&mut took) {
            let began = now();
            for _ in 0..200 {
                assert_eq!(run(), PAID.len());
            }
            took.push((now() - began) / 200.0);
            // Both writers catch up.
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    let median = |mut took: Vec<f64>| {
        took.sort_by(f64::total_cmp);
        took[TURNS / 2]
    };
    took.into_iter().map(median).collect()
}

fn request_work() {
    let folder = Folder::new("work");
    let ledger = folder.builder().open().unwrap();
    let (subscriber, guard) = subscriber(&folder.0.join("lines.json"));
    let facts = Facts::new();
    let mut bare = Handler(facts.clone(), PAID);
    let (mut unmet, mut traced) = (bare.clone(), Traced(bare.clone()));
    let mut audited = service(&ledger, Durability::Buffered, PAID);
    let mut outermost = audited.clone();
    let worked = tracing::subscriber::with_default(subscriber, || {
        worked(&mut [
            &mut || send(&mut bare, facts.met()),
            &mut || send(&mut traced, facts.met()),
            &mut || send(&mut audited, facts.met()),
            &mut || send(&mut unmet, facts.request()),
            &mut || send(&mut outermost, facts.request()),
        ])
    });
    drop(guard);
    let totals = ledger.shutdown_blocking(Duration::from_secs(60)).totals;
    assert_eq!(totals.lost, 0);
    let (tracing, audit) = (worked[1] - worked[0], worked[2] - worked[0]);
    println!(
        "\n### What a request's thread works for its record\n\n\
         handler {:.0} ns; tracing {tracing:.0} ns more; audit {audit:.0} ns more: 1/{:.1}; \
         with the context that it makes {:.0} ns more than a handler without one",
        worked[0],
        tracing / audit,
        worked[4] - worked[3],
    );
}

/// Sends requests through one of the cases of the comparison, and nothing else.
fn repeat(case: &str) {
    let requests = std::env::var("AUDIT_REQUESTS").ok();
    let requests = requests.and_then(|it| it.parse().ok()).unwrap_or(20_000);
    let folder = Folder::new("loop");
    let ledger = folder.builder().open().unwrap();
    let (subscriber, _guard) = subscriber(&folder.0.join("lines.json"));
    let facts = Facts::new();
    let (mut bare, mut traced) = (
        Handler(facts.clone(), PAID),
        Traced(Handler(facts.clone(), PAID)),
    );
    let mut audited = service(&ledger, Durability::Buffered, PAID);
    tracing::subscriber::with_default(subscriber, || {
        for number in 1..=requests {
            if number % 500 == 0 {
                // The writers catch up.
                std::thread::sleep(Duration::from_millis(2));
            }
            let bytes = match case {
                "handler" => send(&mut bare, facts.met()),
                "tracing" => send(&mut traced, facts.met()),
                "audit" => send(&mut audited, facts.met()),
                "unmet" => send(&mut bare, facts.request()),
                "outermost" => send(&mut audited, facts.request()),
                other => panic!("no case is named {other}"),
            };
            assert_eq!(bytes, 4);
        }
    });
    println!(
        "{:?}",
        ledger.shutdown_blocking(Duration::from_secs(60)).totals
    );
}

/// Two producers, as fast as the ledger takes it, on the cores that the writer has.
fn sustained(seconds: u64) -> Folder {
    let folder = Folder::new("sustained");
    // Prepared ahead, so that filling them does not count.
    let spares = usize::try_from((seconds * 4).min(48)).unwrap();
    let ledger = folder
        .builder()
        .with_spare_segments(spares)
        .with_buffer_bytes(32 << 20)
        .open()
        .unwrap();
    while ledger.spare_segments() < spares {
        std::thread::sleep(Duration::from_millis(50));
    }
    let over = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let facts = Facts::new();
                let mut service = service(&ledger, Durability::Buffered, PAID);
                while !over.load(Ordering::Relaxed) {
                    for _ in 0..512 {
                        send(&mut service, facts.request());
                    }
                    let totals = ledger.totals();
                    if totals.accepted - totals.durable - totals.lost > 60_000 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
    });
    let report = ledger.shutdown_blocking(Duration::from_secs(60));
    let took = began.elapsed();
    drop(ledger);
    let durable = report.totals.durable;
    println!(
        "\n### Sustained, {seconds} s, two producers and the writer on two cores\n\n\
         {:.0} events/s durable (accepted {}, durable {durable}, lost {}), {:.0} bytes each with tree and signatures",
        durable as f64 / took.as_secs_f64(),
        report.totals.accepted,
        report.totals.lost,
        size(&folder.0) as f64 / durable as f64,
    );
    folder
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|it| it == "segment"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum()
}

/// Requests whose answers wait for the disk. One with a body takes a second record, which nobody
/// waits for: how it ended.
fn durable_wait(concurrent: usize, body: &'static [u8]) {
    let folder = Folder::new("durable");
    let ledger = folder.builder().with_spare_segments(4).open().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let tasks: Vec<_> = (0..concurrent)
        .map(|_| {
            let over = Arc::clone(&over);
            let mut service = service(&ledger, Durability::Durable, body);
            runtime.spawn(async move {
                let facts = Facts::new();
                let mut waits = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let response = service.call(facts.request()).await.unwrap();
                    assert_eq!(response.status(), 200);
                    waits.push(began.elapsed());
                    assert_eq!(drain(response), body.len());
                }
                waits
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(10));
    over.store(true, Ordering::Relaxed);
    let mut waits: Vec<Duration> = tasks
        .into_iter()
        .flat_map(|task| runtime.block_on(task).unwrap())
        .collect();
    let took = began.elapsed();
    waits.sort_unstable();
    let at = |share: usize| waits[(waits.len() - 1) * share / 1000];
    println!(
        "\n### Durable before the answer, {concurrent} at once, a body of {} bytes\n\n\
         {:.0} requests/s, p50 {:?}, p99 {:?}, p99.9 {:?}",
        body.len(),
        waits.len() as f64 / took.as_secs_f64(),
        at(500),
        at(990),
        at(999),
    );
    ledger.shutdown_blocking(Duration::from_secs(60));
}

fn verification(folder: &Folder) {
    let mut best = Duration::MAX;
    let mut entries = 0;
    for _ in 0..3 {
        let began = Instant::now();
        let verification = Verifier::new().run(&folder.0).unwrap();
        assert_eq!(
            verification.verdict().exit_code(),
            0,
            "{:?}",
            verification.findings
        );
        entries = verification.entries;
        best = best.min(began.elapsed());
    }
    println!(
        "\n### Verification, one core\n\n{:.0} events/s ({entries} entries in {best:?}, the best of three)",
        entries as f64 / best.as_secs_f64()
    );
}

fn main() {
    if let Ok(case) = std::env::var("AUDIT_LOOP") {
        return repeat(&case);
    }
    let seconds = std::env::var("AUDIT_SECONDS").ok();
    let seconds = seconds.and_then(|it| it.parse().ok()).unwrap_or(10);
    request_path();
    request_work();
    durable_wait(1, b"");
    durable_wait(256, b"");
    durable_wait(256, PAID);
    let folder = sustained(seconds);
    verification(&folder);
}
