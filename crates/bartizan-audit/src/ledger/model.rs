//! Every order in which requests, the writer's thread and a shutdown can meet, tried by a model
//! checker: the law `accepted = durable + lost` holds in each.

use std::future::poll_fn;
use std::io;

use bartizan_core::{MonotonicTime, SystemClock, WallTime};
use loom::future::block_on;
use loom::thread::{self, JoinHandle};

use super::*;
use crate::record::{Durability, Record};
use crate::segment::put_frame;
use crate::storage::fragile::{FragileDisk, Operation, Planned};
use crate::verify::{Verdict, Verifier};
use crate::writer::tests::{NOW, numbers};

const ORIGIN: &str = "log.example/audit";

/// Longer than anything takes in a model.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Signing and hashing take more stack than a thread of a model has.
const STACK: usize = 64 * 1024;

/// Clocks that stand still, so that every order is tried from the same moment.
#[derive(Debug)]
struct Still(MonotonicTime, WallTime);

impl Clock for Still {
    fn wall(&self) -> WallTime {
        self.1
    }

    fn monotonic(&self) -> MonotonicTime {
        self.0
    }
}

fn wall() -> WallTime {
    WallTime::from_unix(Duration::from_nanos(NOW))
}

/// Tries every order in which threads are interrupted at most so often where they would not wait.
/// With one more, each of these models takes ten times as long.
fn model(interruptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(interruptions);
    model.max_branches = 10_000;
    let run = Arc::new(run);
    model.check(move || {
        let run = Arc::clone(&run);
        spawn(move || run()).join().unwrap();
    });
}

fn spawn<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::Builder::new().stack_size(STACK).spawn(act).unwrap()
}

/// A ledger on a disk in memory, whose buffer has room for so many events.
fn open(disk: &FragileDisk, room: usize) -> Ledger {
    let builder = Ledger::builder("unused", ORIGIN)
        .with_segment_bytes(8 * 1024)
        .with_buffer_bytes(room * event(1).len())
        .with_heartbeat(PATIENCE)
        .with_clock(Arc::new(Still(SystemClock.monotonic(), wall())));
    let shared = Shared::new(&builder, Disk::new(&builder.folder), None);
    let shared = Arc::new(shared);
    let (writer, recovered) = Writer::open(disk.clone(), builder.writer, NOW).unwrap();
    shared.publish(&writer);
    let thread = Arc::clone(&shared);
    spawn(move || {
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

/// Whether it was taken.
fn append(ledger: &Ledger, number: u64, class: Durability) -> JoinHandle<bool> {
    let ledger = ledger.clone();
    spawn(move || {
        let taken = ledger.append(&event(number), class, Ends::Nothing);
        taken.is_ok()
    })
}

fn count(threads: [JoinHandle<bool>; 2]) -> u64 {
    let taken = threads.map(|thread| u64::from(thread.join().unwrap()));
    taken.iter().sum()
}

/// Holds a run to the law, with everything in it that came after its end. Says what it lost.
fn law_holds(ledger: &Ledger, disk: &FragileDisk, accepted: u64, taken: u64) -> u64 {
    let report = ledger.shutdown_blocking(PATIENCE);
    assert!(report.complete, "{report:?}");
    let totals = ledger.totals();
    assert_eq!(totals.accepted, accepted);
    assert_eq!(totals.durable + totals.lost, accepted, "{totals:?}");
    assert_eq!(totals.durable, taken, "what was taken is durable");
    // What the report says is what the log says; only what came after the end is in neither.
    let verification = Verifier::new().run_on(disk, false, |_| {}).unwrap();
    assert_eq!(
        verification.verdict(),
        Verdict::Intact,
        "{:?}",
        verification.findings
    );
    assert_eq!(verification.totals, report.totals);
    assert_eq!(verification.lost, report.totals.lost);
    assert_eq!(numbers(disk).len() as u64, totals.durable);
    totals.lost
}

#[test]
fn every_event_is_durable_or_counted_as_lost_whenever_the_run_ends() {
    model(2, || {
        let disk = FragileDisk::default();
        let ledger = open(&disk, 8);
        let threads = [
            append(&ledger, 1, Durability::Buffered),
            append(&ledger, 2, Durability::Durable),
        ];
        ledger.shutdown_blocking(PATIENCE);
        let taken = count(threads);
        law_holds(&ledger, &disk, 2, taken);
    });
}

#[test]
fn what_a_full_buffer_does_not_take_is_counted_and_told() {
    model(2, || {
        let disk = FragileDisk::default();
        let ledger = open(&disk, 1);
        let threads = [
            append(&ledger, 1, Durability::Buffered),
            append(&ledger, 2, Durability::Buffered),
        ];
        let taken = count(threads);
        let lost = law_holds(&ledger, &disk, 2, taken);
        assert!(lost <= 1, "there was room for one");
    });
}

#[test]
fn a_sleeping_writer_is_woken_and_whoever_waits_is_told() {
    model(1, || {
        let disk = FragileDisk::default();
        let ledger = open(&disk, 8);
        let wait = |number| {
            let ledger = ledger.clone();
            spawn(move || match ledger.append_durable(&event(number)) {
                Ok(receipt) => {
                    block_on(receipt);
                    ledger.totals().durable > 0
                }
                Err(NotTaken) => false,
            })
        };
        // Nobody ends the run, nor does any time pass: they wait for one another alone.
        let taken = count([wait(1), wait(2)]);
        assert_eq!(taken, 2);
        assert_eq!(law_holds(&ledger, &disk, 2, taken), 0);
    });
}

#[test]
fn a_shutdown_waits_for_the_last_event_of_every_request_that_has_begun() {
    model(2, || {
        let disk = FragileDisk::default();
        let ledger = open(&disk, 8);
        ledger.begin();
        let request = ledger.clone();
        let request = spawn(move || {
            let taken = request.append(&event(1), Durability::Buffered, Ends::Request);
            taken.is_ok()
        });
        let report = block_on(ledger.shutdown(PATIENCE));
        assert_eq!((report.totals.durable, report.totals.lost), (1, 0));
        assert!(request.join().unwrap());
        law_holds(&ledger, &disk, 1, 1);
    });
}

fn failing(times: usize) -> Planned {
    Planned {
        operation: Operation::Sync,
        skip: 0,
        times,
        error: io::ErrorKind::Other,
    }
}

#[test]
fn the_law_holds_while_the_storage_fails_and_comes_back() {
    model(2, || {
        let disk = FragileDisk::default();
        let ledger = open(&disk, 8);
        disk.plan(failing(1));
        let threads = [
            append(&ledger, 1, Durability::Durable),
            append(&ledger, 2, Durability::Durable),
        ];
        let taken = count(threads);
        law_holds(&ledger, &disk, 2, taken);
    });
}

#[test]
fn the_law_holds_though_the_storage_never_comes_back() {
    model(2, || {
        let disk = FragileDisk::default();
        let ledger = open(&disk, 8);
        disk.plan(failing(usize::MAX));
        let threads = [
            append(&ledger, 1, Durability::Buffered),
            append(&ledger, 2, Durability::Durable),
        ];
        let report = ledger.shutdown_blocking(Duration::ZERO);
        count(threads);
        let totals = ledger.totals();
        assert_eq!((totals.accepted, totals.durable, totals.lost), (2, 0, 2));
        assert!(!report.complete || report.totals.accepted == 0);
    });
}

#[test]
fn nobody_waits_for_a_batch_that_is_done() {
    model(2, || {
        let waiters = Arc::new(Waiters::default());
        let wait = |batch| {
            let (waiters, mut place) = (Arc::clone(&waiters), None);
            thread::spawn(move || block_on(poll_fn(|cx| waiters.poll(batch, &mut place, cx))))
        };
        let threads = [wait(1), wait(2)];
        let mut spare = Vec::new();
        waiters.complete(1, &mut spare);
        waiters.complete(2, &mut spare);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn whoever_goes_by_the_last_look_at_the_wall_clock_has_what_it_showed() {
    let origin = SystemClock.monotonic();
    // The wall clock was an hour behind; it has jumped by the time that it is looked at again.
    let behind = WallTime::from_unix(Duration::from_nanos(NOW - 3_600_000_000_000));
    let after = move |span| Still(origin.checked_add(span).unwrap(), wall() + span);
    loom::model(move || {
        let times = Arc::new(Times::new(&Still(origin, behind)));
        let looking = Arc::clone(&times);
        let looking = thread::spawn(move || looking.now(&after(Duration::from_millis(20))).1);
        let told = times.now(&after(Duration::from_millis(21))).1;
        assert_eq!(told, NOW + 21_000_000);
        assert_eq!(looking.join().unwrap(), NOW + 20_000_000);
    });
}
