//! The task that refreshes, and the handle to it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, MonotonicTime};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::backoff::Backoff;
use crate::error::{BoxError, SourceError, SourceErrorKind};
use crate::jitter::{random, spread};
use crate::published::{Published, Publisher, Version};
use crate::refresh::config::RefreshAheadBuilder;
use crate::report::Reporter;
use crate::single_flight::SingleFlight;
use crate::status::Status;

/// Keeps a fetched value fresh: fetches the next one before the present one is due.
///
/// 1. At about four fifths of the TTL, a new value is fetched in the background. Readers never
///    wait for a fetch, and no lock that they need is held during one.
/// 2. If that fails, it is tried again with growing waits, and the last good value is served.
/// 3. Once the last success is older than the stale limit, readers are told so instead: a key set
///    that nobody could confirm for so long is no basis for a decision.
/// 4. [`force`](Self::force) fetches out of turn, for a reader that misses something: at most
///    once per cool-down, and whoever asks while a fetch is under way joins it.
///
/// Cheap to clone. The task ends when the last handle is gone: this one, its clones, and every
/// [`Published`] and subscription got from it.
pub struct RefreshAhead<T> {
    inner: Arc<Inner<T>>,
    published: Published<T>,
}

/// What became of a forced fetch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Forced {
    /// A fetch that was under way, or was started now, has succeeded.
    Fetched {
        /// The generation in force since then.
        generation: u64,
    },
    /// The last forced fetch began too short a time ago; nothing was fetched.
    RateLimited {
        /// After this time, a fetch may be forced again.
        retry_after: Duration,
    },
}

/// Why there is no value to decide by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unavailable {
    /// No fetch has succeeded yet.
    NotLoaded,
    /// Fetching has failed for longer than the stale limit.
    Stale {
        /// Time since the last success.
        age: Duration,
    },
}

type Load<T> =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>> + Send + Sync>;

struct Inner<T> {
    publisher: Publisher<T>,
    load: Load<T>,
    load_timeout: Duration,
    ttl: Duration,
    stale_limit: Duration,
    cool_down: Duration,
    same: Option<fn(&T, &T) -> bool>,
    clock: Arc<dyn Clock>,
    reporter: Reporter,
    flight: SingleFlight<Result<u64, SourceError>>,
    schedule: Mutex<Schedule>,
}

struct Schedule {
    due: Instant,
    backoff: Backoff,
    last_forced: Option<MonotonicTime>,
    stale_reported: bool,
}

impl<T: Send + Sync + 'static> RefreshAhead<T> {
    pub(super) async fn loaded<L, Fut, E>(
        config: RefreshAheadBuilder<T>,
        load: L,
    ) -> Result<Self, SourceError>
    where
        L: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let inner = Inner::new(config, load);
        let runtime = runtime()?;
        Arc::clone(&inner).refresh().await?;
        Ok(Self::spawn(inner, &runtime))
    }

    pub(super) fn started<L, Fut, E>(
        config: RefreshAheadBuilder<T>,
        load: L,
    ) -> Result<Self, SourceError>
    where
        L: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let runtime = runtime()?;
        Ok(Self::spawn(Inner::new(config, load), &runtime))
    }

    fn spawn(inner: Arc<Inner<T>>, runtime: &Handle) -> Self {
        // Nothing is ever sent: the channel tells the task when the last handle is gone.
        let (keeper, handles) = mpsc::channel::<Infallible>(1);
        let published = inner.publisher.kept_by(Arc::new(keeper));
        runtime.spawn(keep_fresh(Arc::clone(&inner), handles));
        Self { inner, published }
    }

    /// The value, if it may still be relied on. A copy of a handle, no waiting.
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: "could not check", never "refused" and never a pass.
    pub fn current(&self) -> Result<Arc<Version<T>>, Unavailable> {
        let version = self.published.load().ok_or(Unavailable::NotLoaded)?;
        self.inner.fresh_enough(&version)?;
        Ok(version)
    }

    /// Looks at the value, if it may still be relied on, without touching its reference count:
    /// for hot paths. `look` should be short.
    pub fn read<R>(&self, look: impl FnOnce(Result<&Version<T>, Unavailable>) -> R) -> R {
        self.published.read(|version| {
            look(match version {
                Some(version) => self.inner.fresh_enough(version).map(|()| version),
                None => Err(Unavailable::NotLoaded),
            })
        })
    }

    /// The value however old it is, and its subscription.
    pub fn published(&self) -> Published<T> {
        self.published.clone()
    }

    /// How the source fares.
    pub fn status(&self) -> Status {
        self.published.status()
    }

    /// Fetches out of turn, and waits for the result.
    ///
    /// A caller that goes away cancels nothing, so the wait may be bounded with
    /// [`tokio::time::timeout`] while the fetch still serves the next request.
    ///
    /// # Errors
    ///
    /// If the fetch failed; the last good version stays.
    pub async fn force(&self) -> Result<Forced, SourceError> {
        let mut retry_after = Duration::ZERO;
        let ticket = {
            let inner = Arc::clone(&self.inner);
            self.inner.flight.board(
                || match self.inner.try_force() {
                    Ok(()) => true,
                    Err(wait) => {
                        retry_after = wait;
                        false
                    }
                },
                || inner.refresh(),
            )
        };
        let Some(ticket) = ticket else {
            return Ok(Forced::RateLimited { retry_after });
        };
        let lost = |error| {
            let message = "the fetch ended without a result";
            SourceError::caused(SourceErrorKind::Stopped, message, error)
        };
        let generation = ticket.wait().await.map_err(lost)??;
        Ok(Forced::Fetched { generation })
    }
}

impl<T: Send + Sync + 'static> Inner<T> {
    fn new<L, Fut, E>(config: RefreshAheadBuilder<T>, load: L) -> Arc<Self>
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
            flight: SingleFlight::new(),
            schedule: Mutex::new(Schedule {
                due: Instant::now(),
                backoff: Backoff::new(config.retry.0, config.retry.1),
                last_forced: None,
                stale_reported: false,
            }),
        })
    }

    fn fresh_enough(&self, version: &Version<T>) -> Result<(), Unavailable> {
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
    fn try_force(&self) -> Result<(), Duration> {
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

    /// One fetch: publishes or reports, and sets when the next is due. Runs in the flight alone,
    /// except for the first of all.
    async fn refresh(self: Arc<Self>) -> Result<u64, SourceError> {
        let result = Arc::clone(&self).fetch().await;
        match result {
            Ok(value) => Ok(self.succeed(value)),
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

impl<T> Clone for RefreshAhead<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            published: self.published.clone(),
        }
    }
}

impl<T> fmt::Debug for RefreshAhead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshAhead")
            .field("name", &self.inner.reporter.name())
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => f.write_str("nothing was fetched yet"),
            Self::Stale { age } => write!(f, "the last success is {} s ago", age.as_secs()),
        }
    }
}

impl Error for Unavailable {}

async fn keep_fresh<T: Send + Sync + 'static>(
    inner: Arc<Inner<T>>,
    mut handles: mpsc::Receiver<Infallible>,
) {
    loop {
        let due = inner.schedule().due;
        if timeout_at(due, handles.recv()).await.is_ok() {
            return;
        }
        // A forced fetch may have moved the date on meanwhile.
        if inner.schedule().due > due {
            continue;
        }
        let refreshing = Arc::clone(&inner);
        // How it went is in the status and the schedule. A run that was lost, as happens when the
        // runtime shuts down, must not make this loop spin.
        if inner
            .flight
            .run(move || refreshing.refresh())
            .await
            .is_err()
        {
            inner.schedule().due = later(Duration::from_secs(1));
        }
    }
}

/// The moment `span` from now; so far off that it never comes, if that cannot be represented.
fn later(span: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(span).unwrap_or_else(|| now + NEVER)
}

fn runtime() -> Result<Handle, SourceError> {
    Handle::try_current().map_err(|error| {
        let message = "a refreshing source needs a tokio runtime";
        SourceError::caused(SourceErrorKind::NoRuntime, message, error)
    })
}
