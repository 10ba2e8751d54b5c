//! Refreshing ahead of time, in paused time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Clock, MonotonicTime};
use bartizan_source::{Forced, RefreshAhead, RefreshAheadBuilder, SourceErrorKind, Unavailable};

use crate::support::{Notebook, TokioClock, pass};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An issuer that can be down, slow or stuck, and notes when it was asked.
#[derive(Debug)]
struct Issuer {
    down: AtomicBool,
    panics: AtomicBool,
    delay: Mutex<Duration>,
    value: AtomicU64,
    asked: Mutex<Vec<MonotonicTime>>,
    clock: Arc<TokioClock>,
    notebook: Arc<Notebook>,
}

impl Issuer {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            down: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            delay: Mutex::new(Duration::ZERO),
            value: AtomicU64::new(0),
            asked: Mutex::default(),
            clock: TokioClock::new(),
            notebook: Arc::default(),
        })
    }

    async fn answer(self: Arc<Self>) -> Result<u64, &'static str> {
        self.asked
            .lock()
            .expect("unpoisoned")
            .push(self.clock.monotonic());
        assert!(!self.panics.load(Ordering::SeqCst), "planned");
        let delay = *self.delay.lock().expect("unpoisoned");
        tokio::time::sleep(delay).await;
        if self.down.load(Ordering::SeqCst) {
            return Err("down");
        }
        Ok(self.value.load(Ordering::SeqCst))
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn set_delay(&self, delay: Duration) {
        *self.delay.lock().expect("unpoisoned") = delay;
    }

    fn set_value(&self, value: u64) {
        self.value.store(value, Ordering::SeqCst);
    }

    fn times_asked(&self) -> usize {
        self.asked.lock().expect("unpoisoned").len()
    }

    /// The waits between one question and the next.
    fn waits(&self) -> Vec<Duration> {
        let asked = self.asked.lock().expect("unpoisoned");
        asked
            .windows(2)
            .map(|pair| pair[1].saturating_since(pair[0]))
            .collect()
    }

    fn builder(&self) -> RefreshAheadBuilder<u64> {
        RefreshAheadBuilder::new("test.keys")
            .with_clock(Arc::clone(&self.clock) as _)
            .with_observer(Arc::clone(&self.notebook) as _)
    }

    async fn load(self: &Arc<Self>) -> RefreshAhead<u64> {
        self.builder()
            .load(self.loader())
            .await
            .expect("the issuer is up")
    }

    fn loader(
        self: &Arc<Self>,
    ) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<u64, &'static str>> + Send>>
    + Send
    + Sync
    + use<> {
        let issuer = Arc::clone(self);
        move || Box::pin(Arc::clone(&issuer).answer())
    }
}

fn current(source: &RefreshAhead<u64>) -> Result<u64, Unavailable> {
    let by_reference = source.read(|version| version.map(|version| *version.value()));
    assert_eq!(
        source.current().map(|version| *version.value()),
        by_reference
    );
    by_reference
}

#[tokio::test(start_paused = true)]
async fn refuses_to_start_without_a_first_value() {
    let issuer = Issuer::new();
    issuer.set_down(true);
    let error = issuer
        .builder()
        .load(issuer.loader())
        .await
        .expect_err("down");
    assert_eq!(error.kind(), SourceErrorKind::Loader);
    assert_eq!(
        std::error::Error::source(&error)
            .map(ToString::to_string)
            .as_deref(),
        Some("down")
    );
}

#[tokio::test(start_paused = true)]
async fn refuses_settings_that_cannot_work() {
    let issuer = Issuer::new();
    for builder in [
        issuer.builder().with_ttl(Duration::ZERO),
        issuer.builder().with_retry(Duration::ZERO, MINUTE),
        issuer.builder().with_retry(SECOND, Duration::ZERO),
        issuer.builder().with_load_timeout(Duration::ZERO),
        issuer
            .builder()
            .with_ttl(MINUTE)
            .with_stale_limit(MINUTE - SECOND),
    ] {
        let error = builder.start(issuer.loader()).expect_err("refused");
        assert_eq!(error.kind(), SourceErrorKind::Config);
    }
    assert_eq!(issuer.times_asked(), 0);
}

#[test]
fn refuses_to_start_outside_a_runtime() {
    let builder = RefreshAheadBuilder::<u64>::new("test.keys");
    let started = builder.start(async || Err("not to be asked"));
    let error = started.expect_err("no runtime");
    assert_eq!(error.kind(), SourceErrorKind::NoRuntime);
}

#[test]
fn who_waits_for_a_fetch_is_told_when_its_runtime_is_gone() {
    let asked = Arc::new(tokio::sync::Notify::new());
    let loader = {
        let (asked, times) = (Arc::clone(&asked), AtomicU64::new(0));
        move || {
            let first = times.fetch_add(1, Ordering::SeqCst) == 0;
            let asked = Arc::clone(&asked);
            async move {
                if !first {
                    asked.notify_one();
                    std::future::pending::<()>().await;
                }
                Ok::<_, String>(7)
            }
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let loading = RefreshAheadBuilder::new("test.keys").load(loader);
    let source = runtime.block_on(loading).expect("loaded");
    let forcing = source.clone();
    runtime.spawn(async move { forcing.force().await });

    let other = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let error = other.block_on(async {
        asked.notified().await;
        let joined = source.force();
        let gone = async { runtime.shutdown_background() };
        // Polled in this order: it has joined that fetch before it is gone.
        let (result, ()) = tokio::join!(biased; joined, gone);
        result.expect_err("nobody fetches any more")
    });
    assert_eq!(error.kind(), SourceErrorKind::Stopped);
    assert_eq!(current(&source), Ok(7), "what was published stays readable");
}

#[tokio::test(start_paused = true)]
async fn begins_empty_and_says_so_until_the_issuer_answers() {
    let issuer = Issuer::new();
    issuer.set_down(true);
    issuer.set_value(7);
    let source = issuer
        .builder()
        .start(issuer.loader())
        .expect("settings are fine");
    assert_eq!(current(&source), Err(Unavailable::NotLoaded));
    assert_eq!(
        Unavailable::NotLoaded.to_string(),
        "nothing was fetched yet"
    );
    pass(10 * SECOND).await;
    assert_eq!(current(&source), Err(Unavailable::NotLoaded));
    assert!(source.status().consecutive_failures() >= 2);
    issuer.set_down(false);
    assert_eq!(
        source
            .published()
            .ready()
            .await
            .map(|version| *version.value()),
        Some(7)
    );
    assert_eq!(current(&source), Ok(7));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_fresh_is_in_no_log() {
    let builder = RefreshAheadBuilder::new("test.keys");
    let mut printed = format!("{builder:?}");
    let loading = builder.load(async || Ok::<_, String>("hunter2".to_owned()));
    let source = loading.await.expect("loaded");
    printed += &format!("{source:?} {:?}", source.current());
    assert!(printed.contains("test.keys"), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn refreshes_at_four_fifths_of_the_ttl() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    issuer.set_value(1);
    pass(5 * HOUR).await;
    assert_eq!(current(&source), Ok(1));
    let waits = issuer.waits();
    assert!(
        (32..=42).contains(&waits.len()),
        "{} refreshes in five hours",
        waits.len()
    );
    for wait in &waits {
        assert!((431 * SECOND..=529 * SECOND).contains(wait), "{wait:?}");
    }
    let distinct: std::collections::HashSet<_> = waits.iter().map(Duration::as_millis).collect();
    assert!(distinct.len() > waits.len() / 2, "jittered");
    let generation = source.published().generation();
    assert_eq!(generation, waits.len() as u64 + 1, "each fetch publishes");
}

#[tokio::test(start_paused = true)]
async fn an_equal_value_keeps_its_generation_if_asked_to() {
    let issuer = Issuer::new();
    let source = issuer
        .builder()
        .skip_unchanged()
        .load(issuer.loader())
        .await
        .expect("up");
    pass(HOUR).await;
    assert!(issuer.times_asked() > 5);
    assert_eq!(source.published().generation(), 1);
    issuer.set_value(1);
    pass(10 * MINUTE).await;
    assert_eq!(source.published().generation(), 2);
    // A confirmed value does not go stale.
    pass(30 * HOUR).await;
    assert_eq!(current(&source), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_changed_nothing_is_told_as_recovery_without_a_new_generation() {
    let issuer = Issuer::new();
    let source = issuer
        .builder()
        .skip_unchanged()
        .load(issuer.loader())
        .await
        .expect("up");
    issuer.set_down(true);
    pass(HOUR).await;
    assert_eq!(issuer.notebook.last().0, "source.failed");
    assert!(source.status().is_failing());
    issuer.set_down(false);
    pass(HOUR).await;
    let (code, subject, detail) = issuer.notebook.last();
    assert_eq!(
        [&*code, &*subject, &*detail],
        ["source.recovered", "test.keys", "unchanged"]
    );
    let recoveries = issuer.notebook.codes();
    let recoveries = recoveries.iter().filter(|it| *it == "source.recovered");
    assert_eq!(recoveries.count(), 1, "told once");
    assert!(!source.status().is_failing());
    assert_eq!(source.published().generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn serves_the_last_good_value_through_an_outage_up_to_the_stale_limit() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    issuer.set_down(true);
    issuer.set_value(1);
    pass(24 * HOUR - SECOND).await;
    assert_eq!(current(&source), Ok(0), "just inside the limit");
    assert!(!issuer.notebook.codes().contains(&"source.stale".to_owned()));
    pass(SECOND).await;
    let stale = current(&source).expect_err("stale");
    assert_eq!(stale, Unavailable::Stale { age: 24 * HOUR });
    assert_eq!(stale.to_string(), "the last success is 86400 s ago");
    assert_eq!(
        source.published().load().map(|v| *v.value()),
        Some(0),
        "still there to look at"
    );
    pass(3 * MINUTE).await;
    let stale = |issuer: &Issuer| {
        issuer
            .notebook
            .codes()
            .iter()
            .filter(|code| *code == "source.stale")
            .count()
    };
    assert_eq!(stale(&issuer), 1, "told once");

    issuer.set_down(false);
    pass(61 * SECOND).await;
    assert_eq!(current(&source), Ok(1));
    assert_eq!(issuer.notebook.last().0, "source.refreshed");
    issuer.set_down(true);
    pass(25 * HOUR).await;
    assert_eq!(stale(&issuer), 2, "told again in the next outage");
}

#[tokio::test(start_paused = true)]
async fn retries_with_growing_waits_up_to_a_minute() {
    let issuer = Issuer::new();
    issuer.set_down(true);
    let source = issuer
        .builder()
        .start(issuer.loader())
        .expect("settings are fine");
    pass(2 * HOUR).await;
    let waits = issuer.waits();
    for (number, wait) in waits.iter().enumerate() {
        let ceiling = SECOND * 2_u32.pow(number.min(6) as u32);
        assert!(
            *wait <= ceiling.min(MINUTE) + SECOND / 100,
            "wait {number}: {wait:?}"
        );
    }
    // Full jitter halves the mean: 30 s; at most one in several thousand runs leaves this range.
    assert!(
        (160..360).contains(&waits.len()),
        "{} tries in two hours",
        waits.len()
    );
    assert_eq!(
        source.status().total_failures(),
        issuer.times_asked() as u64
    );
}

#[tokio::test(start_paused = true)]
async fn a_success_makes_the_next_outage_begin_with_short_waits() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    for _ in 0..5 {
        issuer.set_down(true);
        pass(HOUR).await;
        issuer.set_down(false);
        pass(2 * MINUTE).await;
        assert!(!source.status().is_failing());
        issuer.set_down(true);
        let failures = source.status().total_failures();
        while source.status().total_failures() == failures {
            pass(SECOND).await;
        }
        pass(SECOND + SECOND / 100).await;
        assert!(
            source.status().consecutive_failures() >= 2,
            "tried again within a second"
        );
        issuer.set_down(false);
        pass(2 * MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_forced_fetch_happens_at_most_once_per_cool_down() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    issuer.set_value(1);
    assert_eq!(
        source.force().await.expect("up"),
        Forced::Fetched { generation: 2 }
    );
    assert_eq!(current(&source), Ok(1));
    for _ in 0..10_000 {
        let forced = source.force().await.expect("up");
        assert!(matches!(forced, Forced::RateLimited { .. }), "{forced:?}");
    }
    assert_eq!(issuer.times_asked(), 2);

    pass(29 * SECOND).await;
    let forced = source.force().await.expect("up");
    assert!(
        matches!(forced, Forced::RateLimited { retry_after } if retry_after <= SECOND),
        "{forced:?}"
    );
    pass(SECOND).await;
    assert_eq!(
        source.force().await.expect("up"),
        Forced::Fetched { generation: 3 }
    );
    assert_eq!(issuer.times_asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_cool_down_can_be_shorter_and_none() {
    let issuer = Issuer::new();
    let load = |cool_down| {
        let builder = issuer.builder().with_cool_down(cool_down);
        builder.load(issuer.loader())
    };
    let source = load(SECOND).await.expect("up");
    source.force().await.expect("up");
    let limited = source.force().await.expect("up");
    assert!(
        matches!(limited, Forced::RateLimited { retry_after } if retry_after <= SECOND),
        "{limited:?}"
    );
    pass(SECOND).await;
    let generation = 3;
    let fetched = Forced::Fetched { generation };
    assert_eq!(source.force().await.expect("up"), fetched);

    let source = load(Duration::ZERO).await.expect("up");
    for generation in 2..10 {
        let fetched = Forced::Fetched { generation };
        assert_eq!(source.force().await.expect("up"), fetched);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_forced_fetch_is_told_and_costs_the_cool_down_too() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    issuer.set_down(true);
    assert_eq!(
        source.force().await.expect_err("down").kind(),
        SourceErrorKind::Loader
    );
    assert!(matches!(
        source.force().await,
        Ok(Forced::RateLimited { .. })
    ));
    assert_eq!(current(&source), Ok(0), "the last good value stays");
}

#[tokio::test(start_paused = true)]
async fn those_who_force_at_once_share_one_fetch_and_nobody_else_waits() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    issuer.set_delay(3 * SECOND);
    issuer.set_value(1);
    let forcing: Vec<_> = (0..1000)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.force().await })
        })
        .collect();
    pass(SECOND).await;
    assert_eq!(issuer.times_asked(), 2);
    let before = issuer.clock.monotonic();
    assert_eq!(current(&source), Ok(0), "readers go on with what there is");
    assert_eq!(issuer.clock.monotonic(), before);
    for forced in forcing {
        let forced = forced.await.expect("no panic").expect("up");
        assert_eq!(forced, Forced::Fetched { generation: 2 });
    }
    assert_eq!(issuer.times_asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_value_is_as_old_as_the_question_that_it_answers() {
    let issuer = Issuer::new();
    let unasked = issuer.builder().start(issuer.loader()).expect("a runtime");
    assert_eq!(unasked.asked_at(), None);
    let source = issuer.load().await;
    let first = source.asked_at();
    issuer.set_delay(3 * SECOND);
    pass(MINUTE).await;
    let asked = issuer.clock.monotonic();
    source.force().await.expect("up");
    assert_eq!(source.asked_at(), Some(asked), "not when the answer came");
    assert!(source.asked_at() > first);
    issuer.set_down(true);
    pass(MINUTE).await;
    source.force().await.expect_err("down");
    assert_eq!(source.asked_at(), Some(asked), "there was no answer");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_neither_stops_the_fetch_nor_strands_others() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    issuer.set_delay(3 * SECOND);
    issuer.set_value(1);
    let impatient = tokio::time::timeout(2 * SECOND, source.force());
    let patient = tokio::spawn({
        let source = source.clone();
        async move {
            pass(SECOND).await;
            source.force().await
        }
    });
    assert!(impatient.await.is_err(), "gave up");
    let forced = patient.await.expect("no panic").expect("up");
    assert_eq!(forced, Forced::Fetched { generation: 2 });
    assert_eq!((current(&source), issuer.times_asked()), (Ok(1), 2));
}

#[tokio::test(start_paused = true)]
async fn a_forced_fetch_joins_the_background_one() {
    let issuer = Issuer::new();
    issuer.set_delay(10 * SECOND);
    let source = issuer
        .builder()
        .start(issuer.loader())
        .expect("settings are fine");
    pass(SECOND).await;
    assert_eq!(
        source.force().await.expect("up"),
        Forced::Fetched { generation: 1 }
    );
    assert_eq!(issuer.times_asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forced_fetch_moves_the_next_one_on() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    pass(400 * SECOND).await;
    source.force().await.expect("up");
    pass(420 * SECOND).await;
    assert_eq!(
        issuer.times_asked(),
        2,
        "the next is due 480 s after the forced one, not sooner"
    );
    pass(120 * SECOND).await;
    assert_eq!(issuer.times_asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_hangs_counts_as_failed() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    issuer.set_delay(1000 * HOUR);
    let error = source.force().await.expect_err("hangs");
    assert_eq!(error.kind(), SourceErrorKind::Deadline);
    issuer.set_delay(Duration::ZERO);
    issuer.set_value(1);
    pass(10 * MINUTE).await;
    assert_eq!(current(&source), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_panics_counts_as_failed() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    issuer.panics.store(true, Ordering::SeqCst);
    assert_eq!(
        source.force().await.expect_err("panics").kind(),
        SourceErrorKind::Panicked
    );
    pass(HOUR).await;
    assert!(
        source.status().consecutive_failures() > 10,
        "it is tried again and again"
    );
    issuer.panics.store(false, Ordering::SeqCst);
    issuer.set_value(1);
    pass(2 * MINUTE).await;
    assert_eq!(current(&source), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn works_as_long_as_somebody_can_read_and_no_longer() {
    let issuer = Issuer::new();
    let source = issuer.load().await;
    let published = source.published();
    drop(source);
    pass(HOUR).await;
    assert!(
        published.generation() > 5,
        "a reading handle keeps the source at work"
    );
    drop(published);
    pass(SECOND).await;
    let asked = issuer.times_asked();
    pass(HOUR).await;
    assert_eq!(issuer.times_asked(), asked);
    assert_eq!(
        Arc::strong_count(&issuer),
        1,
        "the task and its loader are gone"
    );
}
