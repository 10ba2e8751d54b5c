//! Fetching, publishing, and deciding when to fetch again.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, MonotonicTime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::apart::Apart;
use crate::backoff::Backoff;
use crate::error::{BoxError, SourceError, SourceErrorKind};
use crate::jitter::{random, spread};
use crate::published::{Publisher, Version};
use crate::refresh::ahead::Unavailable;
use crate::refresh::config::RefreshAheadBuilder;
use crate::report::Reporter;
use crate::single_flight::SingleFlight;

type Load<T> =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>> + Send + Sync>;

/// What the handles and the task share.
// Handles are counted in front of it, and every reader looks inside.
#[repr(align(128))]
pub(super) struct Engine<T> {
    pub(super) publisher: Publisher<T>,
    load: Load<T>,
    load_timeout: Duration,
    ttl: Duration,
    stale_limit: Duration,
    cool_down: Duration,
    same: Option<fn(&T, &T) -> bool>,
    clock: Arc<dyn Clock>,
    pub(super) reporter: Reporter,
    pub(super) flight: Apart<SingleFlight<Result<u64, SourceError>>>,
    schedule: Apart<Mutex<Schedule>>,
}

struct Schedule {
    due: Instant,
    backoff: Backoff,
    last_forced: Option<MonotonicTime>,
    /// When the last fetch that succeeded began.
    asked: Option<MonotonicTime>,
    stale_reported: bool,
}

impl<T: Send + Sync + 'static> Engine<T> {
    pub(super) fn new<L, Fut, E>(config: RefreshAheadBuilder<T>, load: L) -> Arc<Self>
    where
        L: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let load: Load<T> = Box::new(move || {
            let loading = load();
            Box::pin(async move { loading.await.map_err(Into::into) })
        });
        Arc::new(Self {
            publisher: Publisher::new(Arc::clone(&config.clock)),
            load,
            load_timeout: config.load_timeout,
            ttl: config.ttl,
            stale_limit: config.stale_limit,
            cool_down: config.cool_down,
            same: config.same,
            clock: config.clock,
            reporter: Reporter::new(config.name, config.observer),
            flight: Apart(SingleFlight::new()),
            schedule: Apart(Mutex::new(Schedule {
                due: Instant::now(),
                backoff: Backoff::new(config.retry.0, config.retry.1),
                last_forced: None,
                asked: None,
                stale_reported: false,
            })),
        })
    }

    pub(super) fn fresh_enough(&self, version: &Version<T>) -> Result<(), Unavailable> {
        let age = self
            .clock
            .monotonic()
            .saturating_since(version.confirmed_at());
        if age < self.stale_limit {
            Ok(())
        } else {
            Err(Unavailable::Stale { age })
        }
    }

    /// Notes that a fetch is forced now, or says how long to wait.
    pub(super) fn try_force(&self) -> Result<(), Duration> {
        let now = self.clock.monotonic();
        let mut schedule = self.schedule();
        if let Some(last) = schedule.last_forced {
            let wait = self.cool_down.saturating_sub(now.saturating_since(last));
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        schedule.last_forced = Some(now);
        Ok(())
    }

    pub(super) fn asked_at(&self) -> Option<MonotonicTime> {
        self.schedule().asked
    }

    /// One fetch: publishes or reports, and sets when the next is due. Runs in the flight alone,
    /// except for the first of all.
    pub(super) async fn refresh(self: Arc<Self>) -> Result<u64, SourceError> {
        let asked = self.clock.monotonic();
        let result = Arc::clone(&self).fetch().await;
        match result {
            Ok(value) => {
                let generation = self.succeed(value);
                // After the value, so that whoever finds this date finds the value as well.
                self.schedule().asked = Some(asked);
                Ok(generation)
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Runs the loader in a task of its own, so that its panic is an error, under its deadline.
    async fn fetch(self: Arc<Self>) -> Result<T, SourceError> {
        let load_timeout = self.load_timeout;
        let mut task = JoinSet::new();
        task.spawn(async move { (self.load)().await });
        match timeout(load_timeout, task.join_next()).await {
            Ok(Some(Ok(Ok(value)))) => Ok(value),
            Ok(Some(Ok(Err(error)))) => Err(SourceError::caused(
                SourceErrorKind::Loader,
                "fetch failed",
                error,
            )),
            Ok(Some(Err(error))) if error.is_panic() => Err(SourceError::new(
                SourceErrorKind::Panicked,
                "the loader panicked",
            )),
            Ok(_) => Err(SourceError::new(
                SourceErrorKind::Stopped,
                "the runtime shuts down",
            )),
            Err(_elapsed) => {
                let message = format!("fetch took longer than {load_timeout:?}");
                Err(SourceError::new(SourceErrorKind::Deadline, message))
            }
        }
    }

    fn succeed(&self, value: T) -> u64 {
        {
            let mut schedule = self.schedule();
            schedule.backoff.reset();
            schedule.stale_reported = false;
            schedule.due = later(spread(self.ttl - self.ttl / 5, random()));
        }
        let present = self.publisher.published();
        let unchanged = self.same.is_some_and(|same| {
            present.read(|version| version.is_some_and(|version| same(version.value(), &value)))
        });
        if unchanged {
            let was_failing = present.status().is_failing();
            self.publisher.confirm();
            if was_failing {
                self.reporter.recovered();
            }
            return present.generation();
        }
        let generation = self.publisher.publish(value);
        self.reporter.refreshed(generation);
        generation
    }

    fn fail(&self, error: &SourceError) {
        self.publisher.fail(error.whole_message());
        self.reporter.failed(error);
        let stale = self
            .publisher
            .published()
            .read(|version| version.is_some_and(|version| self.fresh_enough(version).is_err()));
        let newly_stale = {
            let mut schedule = self.schedule();
            let wait = schedule.backoff.next(random());
            schedule.due = later(wait);
            stale && !std::mem::replace(&mut schedule.stale_reported, stale)
        };
        if newly_stale {
            self.reporter.stale(error);
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches whenever it is due, until the last handle is gone.
pub(super) async fn keep_fresh<T: Send + Sync + 'static>(
    engine: Arc<Engine<T>>,
    mut handles: mpsc::Receiver<Infallible>,
) {
    loop {
        let due = engine.schedule().due;
        if timeout_at(due, handles.recv()).await.is_ok() {
            return;
        }
        // A forced fetch may have moved the date on meanwhile.
        if engine.schedule().due > due {
            continue;
        }
        let refreshing = Arc::clone(&engine);
        // How it went is in the status and the schedule. A run that was lost, as happens when the
        // runtime shuts down, must not make this loop spin.
        if engine
            .flight
            .run(move || refreshing.refresh())
            .await
            .is_err()
        {
            engine.schedule().due = later(Duration::from_secs(1));
        }
    }
}

/// The moment `span` from now; so far off that it never comes, if that cannot be represented.
fn later(span: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(span).unwrap_or_else(|| now + NEVER)
}
