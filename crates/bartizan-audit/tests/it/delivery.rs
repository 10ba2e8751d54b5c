use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_audit::{
    Accepted, Batch, Blocking, Delivery, DeliveryBuilder, DeliveryState, Ledger, Sink, SinkAnswer,
    SinkConfigError, SinkError, SinkErrorKind, StoredEntry, Tail,
};
use bartizan_core::{Event, observe_fn};
use bartizan_testkit::ManualClock;
use tokio::time::Instant;

use crate::support::{Folder, ORIGIN, alice, end};

/// What a sink does with its batches, one after the other; `Take` for all that come later.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Fail(SinkErrorKind),
    Hang,
    RetryAfter(u64),
    Take,
    TakeAllBut(u64),
    TooLargeAbove(usize),
}

#[derive(Clone, Debug, Default)]
struct Memory {
    plans: Vec<Plan>,
    attempts: Arc<AtomicUsize>,
    got: Arc<Mutex<Vec<StoredEntry>>>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

impl Memory {
    fn with(plans: &[Plan]) -> Self {
        Self {
            plans: plans.to_vec(),
            ..Self::default()
        }
    }

    fn indexes(&self) -> Vec<u64> {
        let got = self.got.lock().unwrap();
        got.iter().map(|entry| entry.index).collect()
    }

    fn take(&self, batch: Batch<'_>) {
        assert_eq!(batch.origin, ORIGIN);
        self.sizes.lock().unwrap().push(batch.entries.len());
        self.got.lock().unwrap().extend_from_slice(batch.entries);
    }
}

impl Sink for Memory {
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let plan = self.plans.get(attempt).copied().unwrap_or(Plan::Take);
        Box::pin(async move {
            match plan {
                Plan::Fail(kind) => return Err(SinkError::new(kind, "planned")),
                Plan::Hang => pending::<()>().await,
                Plan::RetryAfter(seconds) => {
                    let error = SinkError::new(SinkErrorKind::Unavailable, "later");
                    return Err(error.with_retry_after(Duration::from_secs(seconds)));
                }
                Plan::TooLargeAbove(most) if batch.entries.len() > most => {
                    return Err(SinkError::new(SinkErrorKind::TooLarge, "too many"));
                }
                Plan::TakeAllBut(count) => {
                    self.take(batch);
                    return Ok(Accepted::all_but(count, "malformed"));
                }
                Plan::Take | Plan::TooLargeAbove(_) => self.take(batch),
            }
            Ok(Accepted::all())
        })
    }
}

async fn ledger_of(count: usize) -> (Folder, u64) {
    let folder = Folder::new();
    let ledger = folder.ledger();
    fill(&ledger, count);
    let report = end(&ledger, &folder).await;
    (folder, report.entries)
}

/// Appends entries without a request.
fn fill(ledger: &Ledger, count: usize) {
    let observer = bartizan_audit::AuditObserver::new(ledger.clone());
    for number in 0..count {
        let subject = format!("{}-{number}", alice().subject());
        let event = bartizan_core::LifecycleEvent::new(
            "test",
            bartizan_core::LifecycleKind::KeyChanged,
            bartizan_core::Code::new("test.key_changed"),
        );
        let event = event.with_subject(&subject);
        bartizan_core::Observe::observe(&observer, &Event::Lifecycle(event));
    }
}

fn delivery(folder: &Folder, sink: &Memory) -> DeliveryBuilder {
    Delivery::builder(folder.path(), "memory", sink.clone())
}

const PATIENCE: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_and_hangs_gets_every_entry_in_order() {
    use SinkErrorKind::{Conflict, Refused, Unavailable};

    let (folder, size) = ledger_of(50).await;
    let kinds = [Unavailable, Refused, Conflict].map(Plan::Fail);
    let sink = Memory::with(&[&kinds[..], &[Plan::Hang, Plan::Take, Plan::Hang]].concat());
    let clock = ManualClock::default();
    let delivery = delivery(&folder, &sink)
        .with_batch(20, 1 << 20)
        .with_clock(Arc::new(clock.clone()))
        .start()
        .unwrap();
    let waiting = delivery.wait_for(|status| status.failures == 3).await;
    assert_eq!(waiting.state, DeliveryState::Waiting);
    let failure = waiting.last_failure.unwrap();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (Conflict, "planned")
    );
    assert_eq!(failure.at, bartizan_core::Clock::wall(&clock));
    assert_eq!((waiting.position, waiting.last_success), (0, None));

    let status = delivery.wait_for(|status| status.position == size).await;
    assert_eq!(sink.indexes(), (0..size).collect::<Vec<_>>());
    assert_eq!((status.retries, status.failures), (5, 0));
    assert_eq!(
        (status.delivered, status.missed, status.rejected),
        (size, 0, 0)
    );
    let last = status.last_failure.unwrap();
    assert_eq!(last.kind, Unavailable, "a deadline");
    assert!(last.message.contains("30s"), "{}", last.message);
    assert!(sink.sizes.lock().unwrap().iter().all(|size| *size <= 20));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_are_as_long_as_the_other_side_asks() {
    let (folder, size) = ledger_of(1).await;
    let sink = Memory::with(&[Plan::RetryAfter(90), Plan::RetryAfter(1_000_000)]);
    let begin = Instant::now();
    let running = delivery(&folder, &sink).start().unwrap();
    running.wait_for(|status| status.position == size).await;
    let waited = begin.elapsed();
    let asked = Duration::from_secs(90 + 600);
    assert!(waited >= asked, "{waited:?}");
    assert!(
        waited < asked + Duration::from_secs(5),
        "{waited:?}: at most ten minutes are heeded"
    );
    drop(running);

    // Somebody who has to do something first is not hurried.
    let (folder, size) = ledger_of(1).await;
    let sink = Memory::with(&[Plan::Fail(SinkErrorKind::Refused)]);
    let begin = Instant::now();
    let running = delivery(&folder, &sink).start().unwrap();
    running.wait_for(|status| status.position == size).await;
    assert!(
        begin.elapsed() >= Duration::from_secs(54),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_halved_until_it_is_not() {
    let (folder, size) = ledger_of(98).await;
    let sink = Memory::with(&[Plan::TooLargeAbove(13); 20]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let running = delivery(&folder, &sink)
        .with_observer(Arc::new(noting(&told)))
        .start()
        .unwrap();
    let status = running.wait_for(|status| status.position == size).await;
    assert_eq!(sink.indexes(), (0..size).collect::<Vec<_>>());
    let sizes = sink.sizes.lock().unwrap().clone();
    assert!(sizes.iter().all(|size| *size <= 13), "{sizes:?}");
    assert_eq!(sizes[..2], [12, 13], "of 100: 50, 25, 12, and slowly back");
    assert_eq!(status.last_failure.unwrap().kind, SinkErrorKind::TooLarge);
    assert!(told.lock().unwrap().is_empty(), "nothing was wrong with it");
}

#[tokio::test(start_paused = true)]
async fn what_the_other_side_refuses_for_good_is_counted_and_gone_on_behind() {
    let (folder, size) = ledger_of(8).await;
    let sink = Memory::with(&[Plan::TakeAllBut(3)]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let running = delivery(&folder, &sink)
        .with_observer(Arc::new(noting(&told)))
        .start()
        .unwrap();
    let status = running.wait_for(|status| status.position == size).await;
    assert_eq!((status.delivered, status.rejected), (size, 3));
    let expected = format!("audit.sink_rejected memory 3 of {size}: malformed");
    assert_eq!(*told.lock().unwrap(), [expected]);
}

fn noting(told: &Arc<Mutex<Vec<String>>>) -> impl bartizan_core::Observe {
    let told = Arc::clone(told);
    observe_fn(move |event| {
        if let Event::Lifecycle(event) = event {
            let detail = event.detail().map(ToString::to_string);
            let line = [
                event.code().as_str(),
                event.subject().unwrap_or_default(),
                detail.as_deref().unwrap_or_default(),
            ];
            told.lock().unwrap().push(line.join(" "));
        }
    })
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_when_it_begins_and_when_it_is_over() {
    let (folder, size) = ledger_of(3).await;
    let sink = Memory::with(&[Plan::Fail(SinkErrorKind::Unavailable); 4]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let running = delivery(&folder, &sink)
        .with_observer(Arc::new(noting(&told)))
        .start()
        .unwrap();
    running.wait_for(|status| status.position == size).await;
    let expected = [
        "audit.sink_failed memory planned",
        "audit.sink_recovered memory after 4 failures",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_as_long_as_it_may_and_the_rest_comes_with_the_next_start() {
    let (folder, size) = ledger_of(30).await;
    let hanging = Memory::with(&[Plan::Take, Plan::Hang]);
    let begin = Instant::now();
    let running = delivery(&folder, &hanging)
        .with_batch(10, 1 << 20)
        .with_deadline(PATIENCE)
        .start()
        .unwrap();
    let status = running.shutdown(Duration::from_secs(7)).await;
    assert_eq!(status.state, DeliveryState::Ended { complete: false });
    assert_eq!((status.position, begin.elapsed().as_secs()), (10, 7));

    let sink = Memory::default();
    let running = delivery(&folder, &sink).start().unwrap();
    let status = running.shutdown(PATIENCE).await;
    assert_eq!(status.state, DeliveryState::Ended { complete: true });
    assert_eq!(sink.indexes(), (10..size).collect::<Vec<_>>());
    let again = running.shutdown(Duration::ZERO).await;
    assert_eq!(again, status, "it has ended");
}

#[tokio::test(start_paused = true)]
async fn an_end_does_not_wait_for_a_long_pause() {
    let (folder, size) = ledger_of(3).await;
    let sink = Memory::with(&[Plan::Fail(SinkErrorKind::Refused)]);
    let begin = Instant::now();
    let running = delivery(&folder, &sink).start().unwrap();
    running.wait_for(|status| status.failures == 1).await;
    let status = running.shutdown(PATIENCE).await;
    assert_eq!(status.position, size);
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn a_sink_that_hangs_keeps_nobody_waiting() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let sink = Memory::with(&[Plan::Hang]);
    let running = delivery(&folder, &sink)
        .with_ledger(&ledger)
        .with_deadline(PATIENCE)
        .start()
        .unwrap();
    running
        .wait_for(|status| status.state == DeliveryState::Delivering)
        .await;
    fill(&ledger, 5000);
    let report = end(&ledger, &folder).await;
    assert_eq!(report.totals.durable, report.totals.accepted);
    let status = running.status();
    assert_eq!(
        (status.position, status.lag),
        (0, Some(ledger.checkpoint().0))
    );
    assert!(status.lag.unwrap() > 5000);
    drop(running);

    let sink = Memory::default();
    let running = delivery(&folder, &sink).start().unwrap();
    running.shutdown(PATIENCE).await;
    assert_eq!(sink.indexes(), (0..report.entries).collect::<Vec<_>>());
    assert_eq!(*sink.got.lock().unwrap(), folder.entries());
}

#[tokio::test(start_paused = true)]
async fn entries_come_again_when_the_place_cannot_be_kept() {
    let (folder, size) = ledger_of(4).await;
    let places = folder.path().join("places");
    std::fs::create_dir(&places).unwrap();
    let cursor = places.join("cursor");
    let sink = Memory::default();
    let running = delivery(&folder, &sink)
        .with_cursor(&cursor)
        .start()
        .unwrap();
    // Before the task runs: it is spawned, and nobody has waited yet.
    std::fs::rename(&places, folder.path().join("elsewhere")).unwrap();
    let failed = running.wait_for(|status| status.failures > 0).await;
    assert_eq!(failed.last_failure.unwrap().kind, SinkErrorKind::Ledger);
    std::fs::rename(folder.path().join("elsewhere"), &places).unwrap();
    running.wait_for(|status| status.position == size).await;
    let got = sink.indexes();
    let all: Vec<_> = (0..size).collect();
    assert_eq!(got[got.len() - all.len()..], all, "in order, at the end");
    assert!(got.len() >= 2 * all.len(), "at least once: {got:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_pruned_before_it_was_delivered_is_counted() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let cursor = folder.path().join("memory.cursor");
    // The sink is known from the beginning, and takes three entries.
    let mut tail = Tail::open(folder.path(), &cursor).unwrap();
    for _ in 0..20 {
        fill(&ledger, 1000);
        tokio::task::yield_now().await;
    }
    let report = end(&ledger, &folder).await;
    tail.ahead(3, 1 << 20).unwrap();
    tail.taken(3).unwrap();
    assert_eq!((tail.position(), tail.missed()), (3, 0));
    drop(tail);
    let mut segments: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "segment"))
        .collect();
    segments.sort();
    assert!(segments.len() > 2, "{segments:?}");
    std::fs::remove_file(&segments[0]).unwrap();
    std::fs::remove_file(&segments[1]).unwrap();

    let sink = Memory::with(&[Plan::Fail(SinkErrorKind::Unavailable)]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let running = delivery(&folder, &sink)
        .with_observer(Arc::new(noting(&told)))
        .start()
        .unwrap();
    let status = running.shutdown(PATIENCE).await;
    let first = sink.indexes()[0];
    assert!(first > 3);
    assert_eq!(sink.indexes(), (first..report.entries).collect::<Vec<_>>());
    assert_eq!(status.missed, first - 3);
    let expected = format!(
        "audit.sink_missed memory {} entries were pruned before they were delivered",
        first - 3
    );
    assert_eq!(told.lock().unwrap()[0], expected);
    assert_eq!(status.position, report.entries);

    // A sink that is new has missed nothing: it begins with what there is.
    let running = Delivery::builder(folder.path(), "new", sink)
        .start()
        .unwrap();
    let status = running.shutdown(PATIENCE).await;
    assert_eq!((status.missed, status.position), (0, report.entries));
}

#[tokio::test]
async fn a_blocking_sink_is_asked_on_a_thread_of_its_own() {
    let (folder, size) = ledger_of(12).await;
    let (got, main) = (
        Arc::new(Mutex::new(Vec::new())),
        std::thread::current().id(),
    );
    let (noted, mut failures) = (Arc::clone(&got), 2);
    let sink = Blocking::new(move |entries: &[StoredEntry]| {
        assert_ne!(std::thread::current().id(), main);
        if failures > 0 {
            failures -= 1;
            return Err(io::Error::other("planned"));
        }
        noted
            .lock()
            .unwrap()
            .extend(entries.iter().map(|it| it.index));
        Ok(())
    });
    let running = Delivery::builder(folder.path(), "blocking", sink)
        .with_backoff(Duration::ZERO, Duration::from_millis(1))
        .start()
        .unwrap();
    let status = running.shutdown(PATIENCE).await;
    assert_eq!((status.position, status.retries), (size, 2));
    assert_eq!(*got.lock().unwrap(), (0..size).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_work_is_said_at_the_start() {
    let (folder, _) = ledger_of(1).await;
    let start = |build: fn(DeliveryBuilder) -> DeliveryBuilder| {
        build(delivery(&folder, &Memory::default()))
            .start()
            .unwrap_err()
    };
    assert!(matches!(
        start(|it| it.with_batch(0, 1)),
        SinkConfigError::Zero("batch")
    ));
    assert!(matches!(
        start(|it| it.with_batch(1, 0)),
        SinkConfigError::Zero("batch")
    ));
    let error = start(|it| it.with_poll_interval(Duration::ZERO));
    assert!(matches!(error, SinkConfigError::Zero("poll interval")));
    let error = start(|it| it.with_deadline(Duration::ZERO));
    assert!(matches!(error, SinkConfigError::Zero("deadline")));
    let error = start(|it| it.with_backoff(Duration::ZERO, Duration::ZERO));
    assert!(matches!(error, SinkConfigError::Zero("backoff")));
    for name in ["", "../x", "a b", "a.b"] {
        let refused = Delivery::builder(folder.path(), name, Memory::default()).start();
        let error = refused.unwrap_err();
        assert!(
            matches!(
                error,
                SinkConfigError::Unusable {
                    setting: "name",
                    ..
                }
            ),
            "{name}"
        );
    }
    std::fs::write(
        folder.path().join("memory.cursor"),
        "other.example/log\n0\n",
    )
    .unwrap();
    assert!(matches!(start(|it| it), SinkConfigError::Ledger(_)));
    let builder = delivery(&folder, &Memory::default());
    let nowhere = std::thread::spawn(move || builder.start().unwrap_err());
    assert!(matches!(
        nowhere.join().unwrap(),
        SinkConfigError::NoRuntime
    ));
}

#[tokio::test(start_paused = true)]
async fn a_blocking_sink_that_hangs_takes_one_thread_and_no_more() {
    let (folder, size) = ledger_of(3).await;
    let (release, hangs) = std::sync::mpsc::channel::<()>();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let sink = Blocking::new(move |_: &[StoredEntry]| {
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            // Until it is released, whatever the clock says.
            let _ = hangs.recv();
        }
        Ok(())
    });
    let running = Delivery::builder(folder.path(), "blocking", sink)
        .with_deadline(Duration::from_millis(50))
        .with_backoff(Duration::from_millis(1), Duration::from_millis(10))
        .start()
        .unwrap();
    // Threads that block hold the paused clock: it is moved by hand.
    while calls.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    while running.status().failures < 20 {
        tokio::time::advance(Duration::from_millis(60)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    release.send(()).unwrap();
    running.wait_for(|status| status.position == size).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_pruned_while_a_sink_hangs_is_counted_as_well() {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let sink = Memory::with(&[Plan::Hang]);
    let running = delivery(&folder, &sink)
        .with_batch(300, 1 << 20)
        .with_deadline(PATIENCE)
        .start()
        .unwrap();
    for _ in 0..20 {
        fill(&ledger, 1000);
        tokio::task::yield_now().await;
    }
    let report = end(&ledger, &folder).await;
    running
        .wait_for(|status| status.state == DeliveryState::Delivering)
        .await;
    let mut segments: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "segment"))
        .collect();
    segments.sort();
    let kept = segments.split_off(segments.len() - 2);
    for segment in segments {
        std::fs::remove_file(segment).unwrap();
    }
    let status = running
        .wait_for(|status| status.position == report.entries)
        .await;
    assert!(status.missed > 0 && kept.len() == 2, "{status:?}");
    let got = sink.indexes();
    assert_eq!(got.len() as u64 + status.missed, report.entries);
    assert!(got.is_sorted_by(|before, after| before < after));
    assert_eq!(status.delivered + status.missed, report.entries);
}
