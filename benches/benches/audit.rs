//! The audit log beside `tracing` with `tracing-appender`, which is what a service would take
//! instead: the same facts, as JSON, by a thread of their own. Then what the ledger bears.
//!
//! `cargo bench --bench audit` runs all; `AUDIT_SECONDS=60` makes the sustained run longer.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures time, prints, and may panic"
)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bartizan_audit::{
    Audit, AuditConfig, AuditLayer, Durability, Ledger, LedgerBuilder, Rule, Verifier,
};
use bartizan_benches::Comparison;
use bartizan_core::{
    Code, Connection, Decision, Outcome, Peer, PeerIdentity, Principal, Scheme, SecurityContext,
    VerifiedCertificate, WallTime,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the listener and the layers further in would have found.
#[derive(Clone)]
struct Facts {
    connection: Connection,
    peer: Peer,
    principal: Principal,
}

impl Facts {
    fn new() -> Self {
        let peer = Peer::assert_verified(VerifiedCertificate {
            identity: PeerIdentity::Spiffe("spiffe://example.org/gateway".parse().unwrap()),
            certificate_sha256: [7; 32],
            serial: Box::new([1]),
            not_after: WallTime::MAX,
        });
        let remote = "192.0.2.7:4711".parse().unwrap();
        let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice")
            .with_client("storefront")
            .with_token_id("0190a1b2-0000-7000");
        Self {
            connection: Connection::from_remote(remote).with_peer(peer.clone()),
            peer,
            principal: principal.assert_verified(),
        }
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = http::Uri::from_static("/shop.Payments/Charge");
        let context = SecurityContext::new(request.uri().clone());
        context.set_peer(self.peer.clone()).unwrap();
        let headers = request.headers_mut();
        headers.insert("traceparent", http::HeaderValue::from_static(TRACE));
        request.extensions_mut().insert(self.connection.clone());
        request.extensions_mut().insert(context);
        request
    }
}

/// A handler behind layers that have decided.
#[derive(Clone)]
struct Handler(Facts);

impl Service<Request<()>> for Handler {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let context = SecurityContext::of(request.extensions()).unwrap();
        context.set_principal(self.0.principal.clone()).unwrap();
        context.record(Decision::new("mtls", Outcome::Allowed));
        context.record(Decision::new("jwt", Outcome::Allowed));
        let shadow = Decision::new("ratelimit", Outcome::WouldHaveDenied);
        context.record(shadow.with_code(Code::new("ratelimit.exceeded")));
        ready(Ok(Response::new(Empty::new())))
    }
}

fn answer<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing waits here"),
    }
}

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

fn service(ledger: &Ledger, durability: Durability) -> Audit<Handler> {
    let rule = Rule::metadata().with_durability(durability);
    let config = AuditConfig::builder(ledger.clone())
        .add_rule(rule)
        .build()
        .unwrap();
    AuditLayer::new(config).layer(Handler(Facts::new()))
}

/// What a request pays.
fn request_path() {
    let folder = Folder::new("path");
    let ledger = folder
        .builder()
        .with_buffer_bytes(256 << 20)
        .open()
        .unwrap();
    let lines = folder.0.join("lines.json");
    let file = std::fs::File::create(lines).unwrap();
    let (writer, guard) = tracing_appender::non_blocking(file);
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(writer)
        .with_current_span(false)
        .finish();
    let facts = Facts::new();
    let measured = tracing::subscriber::with_default(subscriber, || {
        let (mut bare, mut traced) = (Handler(facts.clone()), Handler(facts.clone()));
        let mut audited = service(&ledger, Durability::Buffered);
        let mut comparison = Comparison::new("What recording costs a request");
        comparison.case("handler alone", || {
            answer(bare.call(facts.request())).unwrap()
        });
        comparison.case("tracing, tracing-appender, JSON", || {
            let request = facts.request();
            let context = SecurityContext::of(request.extensions()).unwrap().clone();
            let began = Instant::now();
            let trace = request.headers().get("traceparent").cloned();
            let response = answer(traced.call(request)).unwrap();
            trace_request(&context, began, trace.as_ref(), response.status());
            response
        });
        comparison.case("audit layer", || {
            answer(audited.call(facts.request())).unwrap()
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
    println!(
        "per event beyond the handler: tracing {:.0} ns, audit {:.0} ns, 1/{:.1}",
        measured[1].beyond,
        measured[2].beyond,
        measured[1].beyond / measured[2].beyond
    );
}

fn trace_request(
    context: &SecurityContext,
    began: Instant,
    trace: Option<&http::HeaderValue>,
    status: http::StatusCode,
) {
    let principal = context.principal().unwrap();
    let decisions = context.decisions();
    let decision = |at: usize| {
        let decision = &decisions[at];
        let code = decision.code().map_or("", |code| code.as_str());
        (decision.layer(), decision.outcome().as_str(), code)
    };
    let (first, second, third) = (decision(0), decision(1), decision(2));
    tracing::info!(
        method = "GET",
        template = "/shop.Payments/Charge",
        status = status.as_u16(),
        duration_us = u64::try_from(began.elapsed().as_micros()).unwrap(),
        peer = %context.peer().unwrap(),
        address = ?context.address(),
        scheme = principal.scheme().as_str(),
        issuer = principal.issuer(),
        subject = principal.subject(),
        client = principal.client(),
        token_id = principal.token_id(),
        trace = trace.and_then(|trace| trace.to_str().ok()),
        first_layer = first.0,
        first_outcome = first.1,
        first_code = first.2,
        second_layer = second.0,
        second_outcome = second.1,
        second_code = second.2,
        third_layer = third.0,
        third_outcome = third.1,
        third_code = third.2,
        response_bytes = 0,
        ending = "complete",
        "request"
    );
}

/// What a request's own thread works, in nanoseconds: without what it waits, and without what the
/// threads that write take from it on a machine with few cores.
fn worked(turns: usize, mut run: impl FnMut()) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let mut took: Vec<f64> = (0..turns)
        .map(|_| {
            let began = now();
            for _ in 0..200 {
                run();
            }
            let took = (now() - began) / 200.0;
            // Both writers catch up.
            std::thread::sleep(Duration::from_millis(3));
            took
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[turns / 2]
}

fn request_work() {
    let folder = Folder::new("work");
    let ledger = folder.builder().open().unwrap();
    let lines = folder.0.join("lines.json");
    let (writer, guard) = tracing_appender::non_blocking(std::fs::File::create(lines).unwrap());
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(writer)
        .with_current_span(false)
        .finish();
    let facts = Facts::new();
    let mut bare = Handler(facts.clone());
    let alone = worked(300, || drop(answer(bare.call(facts.request()))));
    let traced = tracing::subscriber::with_default(subscriber, || {
        worked(300, || {
            let request = facts.request();
            let context = SecurityContext::of(request.extensions()).unwrap().clone();
            let began = Instant::now();
            let trace = request.headers().get("traceparent").cloned();
            let response = answer(bare.call(request)).unwrap();
            trace_request(&context, began, trace.as_ref(), response.status());
        })
    });
    let mut audit = service(&ledger, Durability::Buffered);
    let audited = worked(300, || drop(answer(audit.call(facts.request()))));
    drop(guard);
    let totals = ledger.shutdown_blocking(Duration::from_secs(60)).totals;
    assert_eq!(totals.lost, 0);
    println!(
        "\n### What a request's thread works for its record\n\n\
         handler alone {alone:.0} ns; tracing {:.0} ns more; audit {:.0} ns more: 1/{:.1}",
        traced - alone,
        audited - alone,
        (traced - alone) / (audited - alone)
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
                let mut service = service(&ledger, Durability::Buffered);
                while !over.load(Ordering::Relaxed) {
                    for _ in 0..512 {
                        drop(answer(service.call(facts.request())));
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

/// Requests whose answers wait for the disk.
fn durable_wait(concurrent: usize) {
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
            let (mut service, over) = (service(&ledger, Durability::Durable), Arc::clone(&over));
            runtime.spawn(async move {
                let facts = Facts::new();
                let mut waits = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let response = service.call(facts.request()).await.unwrap();
                    assert_eq!(response.status(), 200);
                    waits.push(began.elapsed());
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
        "\n### Durable before the answer, {concurrent} at once\n\n\
         {:.0} requests/s, p50 {:?}, p99 {:?}, p99.9 {:?}",
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
    let seconds = std::env::var("AUDIT_SECONDS").ok();
    let seconds = seconds.and_then(|it| it.parse().ok()).unwrap_or(10);
    request_path();
    request_work();
    durable_wait(1);
    durable_wait(256);
    let folder = sustained(seconds);
    verification(&folder);
}
