//! Limits that a fleet shares, usable by themselves.

use std::fmt;
use std::hash::BuildHasher as _;
#[cfg(feature = "redis")]
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bartizan_core::Observe;

use super::breaker::Breaker;
use super::conclude::Concluded;
use super::seam::{Facts, Keep};
use super::sharing::Sharing;
use super::{Source, Store};
use crate::error::ConfigError;
use crate::lease::Leases;
use crate::limiter::{Active, Limiter, LimiterBuilder};
use crate::rate::Rate;
use crate::verdict::{Applicable, Verdict};

/// Limits by key that a fleet shares; what the layer is built on, usable by itself.
///
/// Cloning is one reference count; clones share everything. It needs the tokio runtime that it is
/// first used in, as long as it is used.
///
/// 1. Cells that the store was charged for before are spent here, without asking.
/// 2. What the store has refused lately, and would refuse again, is refused without asking.
/// 3. Otherwise the store is asked, within the deadline. All policies are charged or none, by the
///    store's clock.
/// 4. A caller who was asked for three times within an eighth of a second gets cells ahead, as
///    many as his pace takes, and more of them before they are spent. They are kept for an eighth
///    of the time that a full burst takes to come back, a second at most, and what is not spent
///    by then is given back. Over any window the fleet admits no more than the limit: what is
///    kept counts as spent at the end of that time. A caller at his limit may wait for a quarter
///    of that time longer, since he gets cells in batches.
/// 5. Limits of which an instance could take fewer than four cells ahead (a burst below sixteen
///    for each instance) or could keep them for less than 20 ms are exact: the store is asked for
///    each request.
/// 6. If the store does not answer, what is declared by each policy holds
///    ([`Policy::with_fallback`](crate::Policy::with_fallback)). After five failures in a row nobody waits for it any more,
///    until it answers again.
#[derive(Clone)]
pub struct SharedLimiter(pub(super) Arc<State>);

pub(super) struct State {
    pub(super) limiter: Limiter,
    /// What this instance grants by itself.
    pub(super) alone: Limiter,
    pub(super) store: Arc<dyn Keep>,
    pub(super) sharing: Sharing,
    pub(super) leases: Leases,
    pub(super) breaker: Breaker,
    pub(super) round_trips: AtomicU64,
    pub(super) is_swept: AtomicBool,
    pub(super) observer: Option<Arc<dyn Observe>>,
}

/// What comes of a request, and where that comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a verdict that nobody looks at limits nothing"]
pub struct SharedVerdict {
    verdict: Option<Verdict>,
    source: Source,
}

/// How things stand between an instance and its store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SharedStatus {
    /// Whether the store is taken to be lost: nobody waits for it.
    pub is_lost: bool,
    /// How many callers have cells in hand.
    pub leases: usize,
    /// How often the store was asked to charge.
    pub round_trips: u64,
}

impl SharedVerdict {
    /// Whether the key may go on.
    pub fn is_allowed(&self) -> bool {
        self.verdict.is_some_and(|verdict| verdict.is_allowed())
    }

    /// The verdict; `None` if the store did not answer, and a policy refuses then.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// Where it comes from.
    pub fn source(&self) -> Source {
        self.source
    }
}

impl SharedLimiter {
    pub(crate) fn new(
        builder: LimiterBuilder,
        store: Store,
        sharing: Sharing,
        observer: Option<Arc<dyn Observe>>,
    ) -> Result<Self, ConfigError> {
        sharing.check()?;
        let alone = builder.map_policies(|policy| policy.share(sharing.instances));
        Ok(Self(Arc::new(State {
            alone: alone.build()?,
            limiter: builder.build()?,
            leases: Leases::new(sharing.leases),
            store: store.0,
            sharing,
            breaker: Breaker::default(),
            round_trips: AtomicU64::new(0),
            is_swept: AtomicBool::new(false),
            observer,
        })))
    }

    /// Charges one cell to a key.
    pub async fn check(&self, key: &str) -> SharedVerdict {
        self.check_cost(key, 1).await
    }

    /// Charges `cost` cells to a key. The future may be dropped: what was asked for by then stays
    /// charged.
    pub async fn check_cost(&self, key: &str, cost: u64) -> SharedVerdict {
        let hash = self.0.limiter.hasher().hash_one(key);
        let concluded = match self.at_once(hash, Applicable::ALL, cost) {
            Some(concluded) => concluded,
            None => {
                let subject = self.0.store.subject(&Text(key));
                self.ask(hash, subject, Applicable::ALL, cost).await
            }
        };
        concluded.verdict()
    }

    /// Replaces the rate of a policy in this instance; see [`Limiter::set_rate`]. What callers
    /// have spent is kept by the store as time. Cells in hand are spent as they were granted.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownPolicy`], or [`ConfigError::Rate`] if the rate cannot be counted.
    pub fn set_rate(&self, policy: &str, rate: Rate) -> Result<(), ConfigError> {
        self.0.limiter.set_rate(policy, rate)
    }

    /// How things stand with the store.
    pub fn status(&self) -> SharedStatus {
        SharedStatus {
            is_lost: self.0.breaker.is_open(),
            leases: self.0.leases.len(),
            round_trips: self.0.round_trips.load(Ordering::Relaxed),
        }
    }

    /// Gives back all cells in hand, as far as the store answers: for an orderly shutdown.
    pub async fn release(&self) {
        let leftovers = self.0.leases.drain();
        self.give_back(leftovers).await;
    }

    /// The policies, and what is known here of who has spent them.
    pub fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// The policies that a verdict from this source rests on.
    pub(crate) fn active_of(&self, source: Source) -> arc_swap::Guard<Arc<Active>> {
        match source {
            Source::Fallback => self.0.alone.active(),
            _ => self.0.limiter.active(),
        }
    }

    pub(crate) fn store(&self) -> &dyn Keep {
        &*self.0.store
    }
}

impl Concluded {
    pub(super) fn verdict(&self) -> SharedVerdict {
        SharedVerdict {
            verdict: self.verdict,
            source: self.source,
        }
    }
}

impl LimiterBuilder {
    /// Checks everything, takes the memory, and shares the limits with a fleet through a store.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as [`build`](Self::build), and [`ConfigError::Sharing`] if a setting of
    /// `sharing` is out of its bounds.
    pub fn build_shared(
        self,
        store: impl Into<Store>,
        sharing: Sharing,
    ) -> Result<SharedLimiter, ConfigError> {
        SharedLimiter::new(self, store.into(), sharing, None)
    }
}

/// A key that is a text.
struct Text<'t>(&'t str);

impl Facts for Text<'_> {
    #[cfg(feature = "redis")]
    fn kind(&self) -> String {
        "text".to_owned()
    }

    #[cfg(feature = "redis")]
    fn write(&self, hasher: &mut dyn Hasher) {
        hasher.write(self.0.as_bytes());
    }

    #[cfg(feature = "envoy")]
    fn entries(&self) -> Vec<(String, String)> {
        vec![("key".to_owned(), self.0.to_owned())]
    }
}

impl fmt::Debug for SharedLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimiter")
            .field("limiter", &self.0.limiter)
            .field("store", &self.0.store)
            .field("sharing", &self.0.sharing)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}
