//! How many requests are served at once.

mod aimd;
#[cfg(all(test, bartizan_loom))]
mod model;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, SystemClock};

use self::aimd::Aimd;
use crate::error::ConfigError;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, PoisonError};
use crate::ticks::Ticks;
use crate::time::TimeSource;

/// The most requests at once that a limit may allow.
const MOST: usize = 1 << 20;

/// How many requests are served at once; what is beyond is shed and does not queue.
///
/// A request counts from when it arrives until the last byte of its response's body was sent, or
/// it was dropped: a stream of an hour counts for an hour. What waits in a queue grows old, and is
/// served when nobody waits for it any more; what is shed may try elsewhere at once.
///
/// Cloning is one reference count; clones share the limit.
///
/// ```
/// use std::time::Duration;
/// use bartizan_ratelimit::LoadLimit;
///
/// // A hundred at once.
/// let fixed = LoadLimit::builder(100).build()?;
/// // Begin with 100, and find out between 10 and 1,000 how many are answered within 200 ms.
/// let adaptive = LoadLimit::builder(100)
///     .with_adaptation(10, 1_000, Duration::from_millis(200))
///     .build()?;
/// assert_eq!((fixed.limit(), adaptive.limit()), (100, 100));
/// assert!(LoadLimit::builder(0).build().is_err());
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct LoadLimit(Arc<State>);

struct State {
    in_flight: AtomicUsize,
    limit: AtomicUsize,
    shed: AtomicU64,
    aimd: Option<Mutex<Aimd>>,
    time: TimeSource,
}

/// How much a request matters when there is too much to do.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Priority {
    /// Shed once half of the limit is in use: batch jobs, prefetching, test traffic.
    Low,
    /// Shed once four fifths of the limit are in use. The default.
    #[default]
    Normal,
    /// May use the whole limit: what must go on, such as payments.
    Critical,
}

impl Priority {
    /// How much of a limit requests of this priority may fill; always one at least.
    fn share(self, limit: usize) -> usize {
        let share = match self {
            Self::Low => limit / 2,
            Self::Normal => limit - limit / 5,
            Self::Critical => limit,
        };
        share.max(1)
    }
}

/// A place among the requests that are served; given back when it is dropped.
pub(crate) struct Permit {
    limit: LoadLimit,
    began: Option<Ticks>,
}

/// Describes a [`LoadLimit`]; made by [`LoadLimit::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the limit"]
pub struct LoadLimitBuilder {
    limit: usize,
    adaptation: Option<(usize, usize, Duration)>,
    clock: Arc<dyn Clock>,
}

impl LoadLimit {
    /// Begins a limit of so many requests at once, from 1 to 2²⁰.
    pub fn builder(limit: usize) -> LoadLimitBuilder {
        LoadLimitBuilder {
            limit,
            adaptation: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// How many requests are served at present.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// How many may be served at once, at present.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// How many were shed so far.
    pub fn shed(&self) -> u64 {
        self.0.shed.load(Ordering::Relaxed)
    }

    /// A place for one request, if there is one.
    pub(crate) fn enter(&self, priority: Priority) -> Option<Permit> {
        let state = &*self.0;
        let most = priority.share(self.limit());
        let entered = state
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < most).then_some(count + 1)
            });
        if entered.is_err() {
            state.shed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit {
            limit: self.clone(),
            began: state.aimd.as_ref().map(|_| state.time.now()),
        })
    }
}

impl Permit {
    /// Takes note that the response has begun: how long that took tells how loaded the service is.
    pub(crate) fn responded(&mut self) {
        let state = &*self.limit.0;
        if let (Some(began), Some(aimd)) = (self.began.take(), &state.aimd) {
            let now = state.time.now();
            let mut aimd = aimd.lock().unwrap_or_else(PoisonError::into_inner);
            let in_flight = state.in_flight.load(Ordering::Relaxed);
            let limit = aimd.observe(now, now.saturating_sub(began), in_flight);
            state.limit.store(limit, Ordering::Relaxed);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LoadLimitBuilder {
    /// Moves the limit between `least` and `most`, so that responses begin within `target`:
    /// additive increase, multiplicative decrease, as TCP does. Each response in time while at
    /// least half of the limit is in use raises it by a fraction, so that a full limit's worth of
    /// them raise it by one; one that is late lowers it by a tenth, at most once per `target`.
    ///
    /// Time to the head of the response is what counts, so that streams do not read as load.
    pub fn with_adaptation(mut self, least: usize, most: usize, target: Duration) -> Self {
        self.adaptation = Some((least, most, target));
        self
    }

    /// Sets where time is read from.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Load`] if a limit is not within 1 and 2²⁰, if the first is not within the
    /// least and the most, or if the target is zero.
    pub fn build(self) -> Result<LoadLimit, ConfigError> {
        let Self {
            limit,
            adaptation,
            clock,
        } = self;
        let (least, most, target) = adaptation.unwrap_or((limit, limit, Duration::MAX));
        if !(1 <= least && least <= limit && limit <= most && most <= MOST) {
            return Err(ConfigError::Load(
                "limits are not 1 <= least <= first <= most <= 2^20",
            ));
        }
        if target.is_zero() {
            return Err(ConfigError::Load("no response begins within no time"));
        }
        let target = Ticks::from_duration(target);
        let aimd = adaptation.map(|_| Mutex::new(Aimd::new(limit, least, most, target)));
        Ok(LoadLimit(Arc::new(State {
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            shed: AtomicU64::new(0),
            aimd,
            time: TimeSource::of_clock(clock),
        })))
    }
}

impl fmt::Debug for LoadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadLimit")
            .field("limit", &self.limit())
            .field("in_flight", &self.in_flight())
            .field("shed", &self.shed())
            .finish_non_exhaustive()
    }
}
