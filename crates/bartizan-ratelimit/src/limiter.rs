//! Several policies for one key, decided all or nothing.

mod active;
#[cfg(all(test, bartizan_loom))]
mod model;

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bartizan_core::{Clock, SystemClock};

pub(crate) use self::active::{Active, Limit};
use crate::error::ConfigError;
use crate::gcra::Gcra;
use crate::policy::Policy;
use crate::rate::Rate;
use crate::ticks::Ticks;
use crate::time::TimeSource;
use crate::verdict::{Applicable, Report, Verdict};

/// Limits by key, in a fixed piece of memory; what the layer is built on, usable by itself.
///
/// Cloning is one reference count; clones share everything.
///
/// A key is admitted if every policy admits it, and is charged to all of them or to none. What is
/// refused costs nothing. The memory is described at [`Policy`]: no key is stored, nothing is
/// allocated after build, and nothing sweeps.
///
/// With more than one policy, two requests of one key that race for its last cells may both be
/// refused, and a cell of the earlier policies may be lost then. No request is ever admitted for
/// it.
///
/// ```
/// use bartizan_ratelimit::{Limiter, Policy, Rate};
///
/// let limiter = Limiter::builder()
///     .add_policy(Policy::new("burst", Rate::per_second(2)))
///     .add_policy(Policy::new("daily", Rate::per_day(1_000)))
///     .build()?;
/// assert!(limiter.check("alice").is_allowed());
/// assert!(limiter.check("alice").is_allowed());
/// assert!(!limiter.check("alice").is_allowed());
/// assert!(limiter.check("bob").is_allowed());
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Limiter(Arc<State>);

struct State {
    active: ArcSwap<Active>,
    hasher: RandomState,
    time: TimeSource,
}

/// How full the memory of a policy is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Occupancy {
    /// The policy's name.
    pub policy: String,
    /// How many keys have spent something at present.
    pub live: usize,
    /// How many keys there is room for.
    pub slots: usize,
    /// The bytes that the memory takes.
    pub bytes: usize,
    /// How many live keys had to make room for others so far. If this grows, there are more
    /// callers than room, or a flood of made-up ones.
    pub live_evictions: u64,
    /// How many new keys were turned away so far, for want of room.
    pub turned_away: u64,
}

/// Describes a [`Limiter`]; made by [`Limiter::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the limiter"]
pub struct LimiterBuilder {
    policies: Vec<Policy>,
    time: Time,
}

#[derive(Clone, Debug)]
enum Time {
    Clock(Arc<dyn Clock>),
    #[cfg(all(feature = "coarse-clock", target_os = "linux"))]
    Coarse,
}

impl Limiter {
    /// Begins a limiter without policies, which cannot be built.
    pub fn builder() -> LimiterBuilder {
        LimiterBuilder {
            policies: Vec::new(),
            time: Time::Clock(Arc::new(SystemClock)),
        }
    }

    /// Charges one cell to a key.
    pub fn check<K: Hash + ?Sized>(&self, key: &K) -> Verdict {
        self.check_cost(key, 1)
    }

    /// Charges `cost` cells to a key.
    pub fn check_cost<K: Hash + ?Sized>(&self, key: &K, cost: u64) -> Verdict {
        let hash = self.0.hasher.hash_one(key);
        let mut report = Report::new();
        self.active()
            .decide(hash, self.now(), cost, Applicable::ALL, &mut report)
    }

    /// Replaces the rate of a policy, at once and for all keys. What a key has spent is kept as
    /// the time it would have taken to win it back.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownPolicy`], or [`ConfigError::Rate`] if the rate cannot be counted;
    /// the former rate stays in force then.
    pub fn set_rate(&self, policy: &str, rate: Rate) -> Result<(), ConfigError> {
        let gcra = Gcra::new(rate)?;
        if !self
            .active()
            .limits
            .iter()
            .any(|it| it.policy.name() == policy)
        {
            return Err(ConfigError::UnknownPolicy(policy.to_owned()));
        }
        self.0
            .active
            .rcu(|active| active.with_rate(policy, rate, gcra));
        Ok(())
    }

    /// How full the memory is, by policy. Looks at all of it: for metrics, not for requests.
    pub fn occupancy(&self) -> Vec<Occupancy> {
        let now = self.now();
        let describe = |limit: &Limit| {
            let (live, slots) = limit.table.fill(now);
            Occupancy {
                policy: limit.policy.name().to_owned(),
                live,
                slots,
                bytes: limit.table.bytes(),
                live_evictions: limit.table.evicted(),
                turned_away: limit.table.turned_away(),
            }
        };
        self.active().limits.iter().map(describe).collect()
    }

    pub(crate) fn active(&self) -> arc_swap::Guard<Arc<Active>> {
        self.0.active.load()
    }

    pub(crate) fn hasher(&self) -> &RandomState {
        &self.0.hasher
    }

    pub(crate) fn now(&self) -> Ticks {
        self.0.time.now()
    }
}

impl LimiterBuilder {
    /// Adds a policy. A key must satisfy all of them; put the one that refuses most first.
    pub fn add_policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Sets where time is read from; the system's monotonic clock by default.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.time = Time::Clock(clock);
        self
    }

    /// Reads the kernel's coarse clock (`CLOCK_MONOTONIC_COARSE`): five times as fast, and behind
    /// by up to one tick of the kernel, 4 ms as most are built and 10 ms at most. In a window of
    /// any length up to one tick's worth of cells more may therefore be admitted.
    #[cfg(all(feature = "coarse-clock", target_os = "linux"))]
    pub fn with_coarse_clock(mut self) -> Self {
        self.time = Time::Coarse;
        self
    }

    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(crate) fn map_policies(&self, change: impl Fn(&Policy) -> Policy) -> Self {
        Self {
            policies: self.policies.iter().map(change).collect(),
            time: self.time.clone(),
        }
    }

    /// Checks everything, and takes the memory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if there is no policy or more than eight, if two have one name, or if a
    /// name, a rate or a number of keys is not within its bounds.
    pub fn build(self) -> Result<Limiter, ConfigError> {
        if !(1..=Report::MOST).contains(&self.policies.len()) {
            return Err(ConfigError::PolicyCount(self.policies.len()));
        }
        let mut limits: Vec<Limit> = Vec::new();
        for policy in self.policies {
            if limits.iter().any(|it| it.policy.name() == policy.name()) {
                return Err(ConfigError::DuplicatePolicy(policy.name().to_owned()));
            }
            limits.push(Limit::new(policy)?);
        }
        let time = match self.time {
            Time::Clock(clock) => TimeSource::of_clock(clock),
            #[cfg(all(feature = "coarse-clock", target_os = "linux"))]
            Time::Coarse => TimeSource::coarse(),
        };
        Ok(Limiter(Arc::new(State {
            active: ArcSwap::from_pointee(Active::new(limits.into())),
            hasher: RandomState::new(),
            time,
        })))
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = self.active();
        let policies: Vec<_> = active.limits.iter().map(|limit| &limit.policy).collect();
        f.debug_struct("Limiter")
            .field("policies", &policies)
            .finish_non_exhaustive()
    }
}
