//! The handle to a value that is kept fresh.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::MonotonicTime;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::error::{BoxError, SourceError, SourceErrorKind};
use crate::published::{Published, Version};
use crate::refresh::config::RefreshAheadBuilder;
use crate::refresh::engine::{Engine, keep_fresh};
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
/// ```
/// use bartizan_source::{Forced, RefreshAheadBuilder, Unavailable};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = RefreshAheadBuilder::new("example.keys")
///     .load(|| async { Ok::<_, std::io::Error>(vec!["key 1", "key 2"]) })
///     .await?;
/// assert_eq!(keys.current()?.value().len(), 2);
///
/// // A reader that misses a key may ask for a fetch out of turn, but not again and again.
/// assert!(matches!(keys.force().await?, Forced::Fetched { generation: 2 }));
/// assert!(matches!(keys.force().await?, Forced::RateLimited { .. }));
///
/// // Without a first value there is none, and nothing stands in for it.
/// let down = RefreshAheadBuilder::<u32>::new("example.down")
///     .start(|| async { Err("the issuer is down") })?;
/// assert_eq!(down.read(|value| value.err()), Some(Unavailable::NotLoaded));
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone. The task ends when the last handle is gone: this one, its clones, and every
/// [`Published`] and subscription got from it.
pub struct RefreshAhead<T> {
    engine: Arc<Engine<T>>,
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
        let engine = Engine::new(config, load);
        let runtime = runtime()?;
        Arc::clone(&engine).refresh().await?;
        Ok(Self::spawn(engine, &runtime))
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
        Ok(Self::spawn(Engine::new(config, load), &runtime))
    }

    fn spawn(engine: Arc<Engine<T>>, runtime: &Handle) -> Self {
        // Nothing is ever sent: the channel tells the task when the last handle is gone.
        let (keeper, handles) = mpsc::channel::<Infallible>(1);
        let published = engine.publisher.published_kept_by(Arc::new(keeper));
        runtime.spawn(keep_fresh(Arc::clone(&engine), handles));
        Self { engine, published }
    }

    /// The value, if it may still be relied on. A copy of a handle, no waiting.
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: "could not check", never "refused" and never a pass.
    pub fn current(&self) -> Result<Arc<Version<T>>, Unavailable> {
        let version = self.published.load().ok_or(Unavailable::NotLoaded)?;
        self.engine.fresh_enough(&version)?;
        Ok(version)
    }

    /// Looks at the value, if it may still be relied on, without touching its reference count:
    /// for hot paths. `look` should be short.
    pub fn read<R>(&self, look: impl FnOnce(Result<&Version<T>, Unavailable>) -> R) -> R {
        self.published.read(|version| {
            look(match version {
                Some(version) => self.engine.fresh_enough(version).map(|()| version),
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

    /// When the fetch began that gave the present value, or last confirmed it; `None` as long as
    /// none has succeeded. What changed on the other side since then may not be in the value.
    pub fn asked_at(&self) -> Option<MonotonicTime> {
        self.engine.asked_at()
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
            let engine = Arc::clone(&self.engine);
            self.engine.flight.board(
                || match self.engine.try_force() {
                    Ok(()) => true,
                    Err(wait) => {
                        retry_after = wait;
                        false
                    }
                },
                || engine.refresh(),
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

impl<T> Clone for RefreshAhead<T> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            published: self.published.clone(),
        }
    }
}

impl<T> fmt::Debug for RefreshAhead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshAhead")
            .field("name", &self.engine.reporter.name())
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

fn runtime() -> Result<Handle, SourceError> {
    Handle::try_current().map_err(|error| {
        let message = "a refreshing source needs a tokio runtime";
        SourceError::caused(SourceErrorKind::NoRuntime, message, error)
    })
}
