//! The law of the ledger, `accepted = durable + lost`, while its storage fails in every way, with
//! the layer in front of it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Poll, Waker};

use bartizan_core::{
    Connection, Decision, MonotonicTime, Outcome, SecurityContext, SystemClock, WallTime,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service as _, service_fn};

use super::*;
use crate::config::AuditConfig;
use crate::layer::AuditLayer;
use crate::policy::Rule;
use crate::record::{Durability, Record};
use crate::segment::put_frame;
use crate::storage::fragile::{FragileDisk, Operation, Planned};
use crate::verify::{FindingKind, Severity, Verdict, Verification, Verifier};
use crate::writer::tests::{NOW, numbers};

const ORIGIN: &str = "log.example/audit";

fn builder() -> LedgerBuilder {
    Ledger::builder("unused", ORIGIN)
        .with_segment_bytes(8 * 1024)
        .with_buffer_bytes(16 * 1024)
        .with_flush_interval(Duration::from_millis(1))
        .with_heartbeat(Duration::from_secs(3600))
}

/// A ledger on a disk that fails as it is told.
fn open(disk: &FragileDisk, builder: LedgerBuilder) -> Ledger {
    let shared = Shared::new(&builder, Disk::new(&builder.folder), None);
    let shared = Arc::new(shared);
    let now = nanoseconds(&*shared.clock);
    let (writer, recovered) = Writer::open(disk.clone(), builder.writer, now).unwrap();
    shared.publish(&writer);
    let thread = Arc::clone(&shared);
    std::thread::spawn(move || {
        let over = Over(&thread);
        thread.end(Run::new(&thread, writer).run(recovered));
        drop(over);
    });
    Ledger(Arc::new(Handle { shared }))
}

/// An event that is told from every other by its number.
fn event(number: u64) -> Vec<u8> {
    let record = Record::Heartbeat { time: NOW + number };
    let mut frame = Vec::new();
    put_frame(&mut frame, |out| record.encode(out));
    frame
}

fn class(number: u64) -> Durability {
    match number % 3 {
        0 => Durability::Lossy,
        1 => Durability::Buffered,
        _ => Durability::Durable,
    }
}

/// Two threads append events of every class. Says how many were taken.
fn append(ledger: &Ledger, each: u64) -> u64 {
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let taken = &taken;
            scope.spawn(move || {
                for number in (1..=each).map(|number| 2 * number - half) {
                    if ledger
                        .append(&event(number), class(number), Ends::Nothing)
                        .is_ok()
                    {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                    if number % 32 < 2 {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    taken.into_inner()
}

fn verify(disk: &FragileDisk) -> Verification {
    Verifier::new().run_on(disk, false, |_| {}).unwrap()
}

fn planned(operation: Operation, skip: usize, times: usize, error: io::ErrorKind) -> Planned {
    Planned {
        operation,
        skip,
        times,
        error,
    }
}

/// Holds a run that ended in order to the law: what the report says is on the disk, all of it.
fn law_holds(report: &LedgerReport, disk: &FragileDisk, what: &str) {
    let totals = report.totals;
    assert!(report.complete, "{what}: {report:?}");
    assert_eq!(
        totals.accepted,
        totals.durable + totals.lost,
        "{what}: {totals:?}"
    );
    // Also if the power fails the moment after it was said.
    for luck in 0..4 {
        let disk = disk.after_power_cut(luck);
        let found = numbers(&disk);
        let different: BTreeSet<_> = found.iter().collect();
        assert_eq!(
            found.len(),
            different.len(),
            "{what}: nothing is there twice"
        );
        assert_eq!(found.len() as u64, totals.durable, "{what}: {totals:?}");
        let verification = verify(&disk);
        assert_eq!(
            verification.verdict(),
            Verdict::Intact,
            "{what}: {:?}",
            verification.findings
        );
        assert_eq!(
            verification.lost, totals.lost,
            "{what}: losses are in the log"
        );
        assert_eq!(verification.totals, totals, "{what}: and so are the totals");
    }
}

#[test]
fn the_law_holds_whatever_fails() {
    let full = io::ErrorKind::StorageFull;
    let broken = io::ErrorKind::Other;
    let mut complete = 0;
    for (operation, error) in [
        (Operation::Write, full),
        (Operation::Write, broken),
        (Operation::Sync, broken),
        (Operation::SyncNames, broken),
        (Operation::Create, full),
        (Operation::Rename, broken),
        (Operation::Replace, full),
        (Operation::Truncate, broken),
    ] {
        for skip in [0, 2, 5] {
            for times in [1, 3] {
                let disk = FragileDisk::default();
                let ledger = open(&disk, builder());
                disk.plan(planned(operation, skip, times, error));
                let taken = append(&ledger, 300);
                let report = ledger.shutdown_blocking(Duration::from_secs(60));
                let what = format!("{operation:?} {error:?} {skip} {times}");
                assert_eq!(report.totals.accepted, 600, "{what}");
                assert_eq!(
                    report.totals.durable, taken,
                    "{what}: what was taken is written"
                );
                if report.complete {
                    complete += 1;
                    law_holds(&report, &disk, &what);
                } else {
                    // The threads were so fast that it was the end which failed.
                    an_end_that_failed_is_told(&report, &disk, &what);
                }
            }
        }
    }
    assert!(complete >= 24, "{complete} of 48 runs ended in order");
}

/// Holds a run whose end could not be written to what is left of the law: nothing that was said
/// to be durable is missing, and nobody takes the log for one that ended in order unless it did.
fn an_end_that_failed_is_told(report: &LedgerReport, disk: &FragileDisk, what: &str) {
    let totals = report.totals;
    assert_eq!(
        totals.accepted,
        totals.durable + totals.lost,
        "{what}: {totals:?}"
    );
    for luck in 0..4 {
        let disk = disk.after_power_cut(luck);
        assert_eq!(numbers(&disk).len() as u64, totals.durable, "{what}");
        let verification = verify(&disk);
        match verification.verdict() {
            // All that is missing is the checkpoint in its file, which is in the log as well.
            Verdict::Intact => assert_eq!(verification.totals, totals, "{what}"),
            verdict => assert_eq!(verdict, Verdict::Incomplete, "{what}"),
        }
    }
}

#[test]
fn the_law_holds_with_short_writes() {
    let disk = FragileDisk::default();
    disk.limit_writes(11);
    let ledger = open(&disk, builder());
    let taken = append(&ledger, 300);
    let report = ledger.shutdown_blocking(Duration::from_secs(60));
    assert_eq!(report.totals.durable, taken);
    law_holds(&report, &disk, "short writes");
}

#[test]
fn a_deleted_file_is_told_and_what_comes_later_is_kept() {
    let disk = FragileDisk::default();
    // Time runs a second with each look at the clock, so that the file is looked for.
    let ledger = open(
        &disk,
        builder().with_clock(Arc::new(Hasty(AtomicU32::new(0)))),
    );
    append(&ledger, 20);
    while ledger.totals().durable + ledger.totals().lost < 40 {
        std::thread::yield_now();
    }
    let before = ledger.totals().durable;
    disk.steal("000000000000.segment");
    let after = (41..=80).filter(|number| {
        let taken = ledger.append(&event(*number), Durability::Buffered, Ends::Nothing);
        taken.is_ok()
    });
    let after: Vec<u64> = after.collect();
    let report = ledger.shutdown_blocking(Duration::from_secs(60));
    let totals = report.totals;
    assert_eq!(totals.accepted, totals.durable + totals.lost);
    assert_eq!(totals.durable, before + after.len() as u64);
    assert!(report.complete);
    let found: Vec<u64> = numbers(&disk).into_iter().filter(|it| *it > 40).collect();
    assert_eq!(found, after);
    let findings = verify(&disk).findings;
    let missing = |kind: &FindingKind| *kind == FindingKind::MissingSegment(0);
    assert!(findings.iter().any(|it| missing(&it.kind)), "{findings:?}");
}

/// A clock that is a second later whenever it is read.
#[derive(Debug)]
struct Hasty(AtomicU32);

impl Clock for Hasty {
    fn wall(&self) -> WallTime {
        let reads = u64::from(self.0.fetch_add(1, Ordering::Relaxed));
        WallTime::from_unix_seconds(NOW / 1_000_000_000 + reads)
    }

    fn monotonic(&self) -> MonotonicTime {
        SystemClock.monotonic()
    }
}

/// A clock whose wall shows what it is set to.
#[derive(Debug)]
struct Set(AtomicU64);

impl Clock for Set {
    fn wall(&self) -> WallTime {
        WallTime::from_unix_seconds(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> MonotonicTime {
        SystemClock.monotonic()
    }
}

#[test]
fn the_law_holds_while_the_clock_jumps_back() {
    let disk = FragileDisk::default();
    let seconds = NOW / 1_000_000_000;
    let clock = Arc::new(Set(AtomicU64::new(seconds)));
    let ledger = open(&disk, builder().with_clock(Arc::clone(&clock) as _));
    let mut taken = append(&ledger, 150);
    while ledger.totals().durable < taken {
        std::thread::yield_now();
    }
    // An hour back; what the ledger itself records from here on has that time.
    clock.0.store(seconds - 3600, Ordering::Relaxed);
    for number in 301..=600 {
        let appended = ledger.append(&event(number), class(number), Ends::Nothing);
        taken += u64::from(appended.is_ok());
    }
    let report = ledger.shutdown_blocking(Duration::from_secs(60));
    assert_eq!(report.totals.durable, taken);
    law_holds(&report, &disk, "the clock jumps");
    let findings = verify(&disk).findings;
    let told = |kind: &FindingKind| matches!(kind, FindingKind::ClockWentBack(_));
    assert!(findings.iter().any(|it| told(&it.kind)), "{findings:?}");
    assert!(
        findings
            .iter()
            .all(|it| it.kind.severity() <= Severity::Note)
    );
}

#[test]
fn a_full_buffer_loses_and_counts_by_class() {
    let disk = FragileDisk::default();
    let ledger = open(&disk, builder());
    // It fails until the buffer has been full for long.
    disk.plan(planned(Operation::Sync, 0, 5, io::ErrorKind::Other));
    let taken = append(&ledger, 3000);
    let waiting = ledger.0.shared.buffer().len();
    assert!(waiting <= 16 * 1024, "bounded: {waiting}");
    let report = ledger.shutdown_blocking(Duration::from_secs(60));
    assert_eq!(report.totals.accepted, 6000);
    assert_eq!(report.totals.durable, taken);
    assert!(report.totals.lost > 0, "it was full: {report:?}");
    law_holds(&report, &disk, "a full buffer");
}

#[test]
fn a_storage_that_never_comes_back_is_told_and_counted() {
    for operation in [Operation::Write, Operation::Sync] {
        let disk = FragileDisk::default();
        let ledger = open(&disk, builder());
        for number in 1..=50 {
            let _ = ledger.append(&event(number), Durability::Buffered, Ends::Nothing);
        }
        while ledger.totals().durable < 50 {
            std::thread::yield_now();
        }
        disk.plan(planned(operation, 0, usize::MAX, io::ErrorKind::Other));
        append(&ledger, 100);
        let report = ledger.shutdown_blocking(Duration::from_millis(100));
        let totals = report.totals;
        assert!(!report.complete, "{operation:?}");
        assert_eq!(totals.accepted, 250, "{operation:?}");
        assert_eq!(totals.accepted, totals.durable + totals.lost, "{totals:?}");
        assert_eq!((totals.durable, totals.lost), (50, 200), "{operation:?}");
        // What it said is durable is there, and whoever looks sees that the run has no end.
        let disk = disk.after_power_cut(1);
        let found = numbers(&disk);
        assert!(
            found.starts_with(&(1..=50).collect::<Vec<_>>()),
            "{found:?}"
        );
        assert_eq!(
            verify(&disk).verdict(),
            Verdict::Incomplete,
            "{operation:?}"
        );
    }
}

fn request(address: Ipv4Addr) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    let connection = Connection::from_remote((address, 4000).into());
    request.extensions_mut().insert(connection);
    request
}

type Answered = Result<Response<Full<Bytes>>, Infallible>;

#[tokio::test]
async fn an_answer_is_withheld_while_syncs_fail_and_given_once_they_work() {
    let disk = FragileDisk::default();
    let ledger = open(&disk, builder());
    let rule = Rule::metadata().with_durability(Durability::Durable);
    let config = AuditConfig::builder(ledger.clone())
        .add_rule(rule)
        .with_durable_wait(Duration::from_millis(20));
    let layer = AuditLayer::new(config.build().unwrap());
    let mut service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| -> Answered {
        Ok(Response::new(Full::new(Bytes::from_static(b"secret"))))
    }));
    let address = Ipv4Addr::new(192, 0, 2, 7);
    // For a third of a second in all: the pauses between the tries double.
    disk.plan(planned(Operation::Sync, 0, 6, io::ErrorKind::Other));
    // The first waits for its limit; the second learns at once that there is no use in waiting.
    for _ in 0..2 {
        let response = service.call(request(address)).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.contains("audit.not_durable") && !body.contains("secret"),
            "{body}"
        );
    }
    let mut call = request(address);
    *call.method_mut() = http::Method::POST;
    let grpc = http::HeaderValue::from_static("application/grpc");
    call.headers_mut().insert("content-type", grpc);
    let response = service.call(call).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "14", "UNAVAILABLE");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
    while ledger.0.shared.buffer().failing || ledger.totals().durable == 0 {
        tokio::task::yield_now().await;
    }
    let before = ledger.totals().durable;
    let response = service.call(request(address)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(
        ledger.totals().durable > before,
        "it is on the disk before it is answered"
    );
    drop(response);
    let report = ledger.shutdown(Duration::from_secs(60)).await;
    let totals = report.totals;
    assert_eq!(totals.accepted, totals.durable + totals.lost);
    assert_eq!(totals.lost, 2, "the two that were not taken: {totals:?}");
    let verification = verify(&disk.after_power_cut(3));
    assert_eq!(
        verification.verdict(),
        Verdict::Intact,
        "{:?}",
        verification.findings
    );
    assert_eq!(verification.lost, 2);
}

#[test]
fn a_flood_of_strangers_waits_for_no_disk_and_is_counted_exactly() {
    const FLOOD: u32 = 20_000;
    let disk = FragileDisk::default();
    let ledger = open(&disk, builder());
    let rule = Rule::metadata().with_durability(Durability::Durable);
    let config = AuditConfig::builder(ledger.clone()).add_rule(rule);
    let layer = AuditLayer::new(config.build().unwrap());
    let mut service = layer.layer(service_fn(
        async |request: Request<Full<Bytes>>| -> Answered {
            let context = SecurityContext::of(request.extensions()).unwrap();
            let code = Code::new("jwt.missing");
            context.record(Decision::new("jwt", Outcome::Denied).with_code(code));
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            Ok(response)
        },
    ));
    // Nothing can be made durable while it lasts.
    disk.plan(planned(Operation::Sync, 0, 4, io::ErrorKind::Other));
    let mut cx = Context::from_waker(Waker::noop());
    let mut most = 0;
    for number in 0..FLOOD {
        // Each from a network of its own.
        let call = service.call(request(Ipv4Addr::from(number << 8)));
        let Poll::Ready(answered) = std::pin::pin!(call).poll(&mut cx) else {
            panic!("it waits");
        };
        assert_eq!(answered.unwrap().status(), StatusCode::UNAUTHORIZED);
        most = most.max(ledger.0.shared.buffer().len());
    }
    // A second's table of a thousand lines may stand above what the buffer is limited to.
    assert!(most < 16 * 1024 + 1100 * 100, "bounded: {most}");
    let report = ledger.shutdown_blocking(Duration::from_secs(60));
    let totals = report.totals;
    assert_eq!((totals.lost, totals.accepted), (0, totals.durable));
    assert!(
        totals.accepted < 10_000,
        "a flood does not fill the log: {totals:?}"
    );
    let disk = disk.after_power_cut(2);
    assert_eq!(verify(&disk).verdict(), Verdict::Intact);
    assert_eq!(refused(&disk), u64::from(FLOOD), "exactly");
}

/// How many refusals the ledger counts.
fn refused(disk: &FragileDisk) -> u64 {
    let mut count = 0;
    crate::writer::tests::entries(disk, |entry| {
        if let Ok(Record::Refusals(refusals)) = Record::decode(entry) {
            count += refusals.count;
        }
    });
    count
}

#[test]
fn refusals_of_the_last_second_are_counted_though_those_before_fill_the_buffer() {
    const EACH: u32 = 1_500;
    let disk = FragileDisk::default();
    let seconds = NOW / 1_000_000_000;
    let clock = Arc::new(Set(AtomicU64::new(seconds)));
    let ledger = open(&disk, builder().with_clock(Arc::clone(&clock) as _));
    disk.plan(planned(Operation::Sync, 0, 8, io::ErrorKind::Other));
    let appended = ledger.append(&event(1), Durability::Durable, Ends::Nothing);
    assert!(appended.is_ok());
    // The writer has its hands full until the run is to end.
    while ledger.0.shared.buffer().len() > 0 {
        std::thread::yield_now();
    }
    for second in 0..2 {
        clock.0.store(seconds + second, Ordering::Relaxed);
        for number in 0..EACH {
            let address = Ipv4Addr::from(number << 8).into();
            ledger.refuse(Some(address), "jwt", "jwt.missing", Ends::Nothing);
        }
    }
    let report = ledger.shutdown_blocking(Duration::from_secs(60));
    assert!(report.complete, "{report:?}");
    assert_eq!(refused(&disk), u64::from(2 * EACH));
}
