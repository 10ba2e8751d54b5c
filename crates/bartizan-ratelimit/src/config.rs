//! What a layer is made of: a key, policies, and how it answers.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Clock, Duty, Enforcement, Inspection, Observe};
use http::response;

use crate::error::ConfigError;
use crate::key::Key;
use crate::limiter::{Limiter, LimiterBuilder};
use crate::policy::Policy;
#[cfg(any(feature = "envoy", feature = "redis"))]
use crate::store::{SharedLimiter, Sharing, Store};

/// The name under which the layer decides.
const LAYER: &str = "ratelimit";

/// A checked configuration of a [`RateLimitLayer`](crate::RateLimitLayer).
///
/// | setting | default | reason |
/// |---|---|---|
/// | cost | 1 cell | requests are what is counted most |
/// | settlement | keep the charge | what was asked for was used |
/// | missing key | refuse | a limit that can be shed by leaving something out is none |
/// | fields | `Retry-After` alone, on refusals | standings tell an attacker how far to go, and cost more than the decision |
/// | clock | the system's monotonic clock | exact |
///
/// ```
/// use bartizan_ratelimit::{Key, Policy, Rate, RateLimitConfig};
///
/// let config = RateLimitConfig::builder(Key::subject())
///     .add_policy(Policy::new("burst", Rate::per_second(10)))
///     .add_policy(Policy::new("hourly", Rate::per_hour(1_000)))
///     .build()?;
/// # let _ = config;
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitConfig {
    pub(crate) limiter: Limiter,
    pub(crate) duty: Duty,
    pub(crate) rules: Rules,
    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub(crate) shared: Option<SharedLimiter>,
}

/// How requests are counted and answered.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) key: Key,
    pub(crate) missing: MissingKey,
    pub(crate) conditions: Vec<Option<Arc<Condition>>>,
    pub(crate) cost: Option<Arc<Cost>>,
    pub(crate) settlement: Option<Arc<Settle>>,
    pub(crate) fields: Fields,
}

pub(crate) type Condition = dyn Fn(&Inspection<'_>) -> bool + Send + Sync;
pub(crate) type Cost = dyn Fn(&Inspection<'_>) -> u64 + Send + Sync;
pub(crate) type Settle = dyn Fn(&response::Parts) -> Settlement + Send + Sync;

/// What becomes of a request that lacks what it would be counted by.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum MissingKey {
    /// It passes, and is not counted: for a layer that limits only those who have the key, beside
    /// another that limits the rest.
    Pass,
    /// It is refused with `ratelimit.no_key`. The default.
    #[default]
    Refuse,
    /// All requests without a key share one.
    Share,
}

/// Which fields responses carry besides `Retry-After`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Fields {
    /// `RateLimit` and `RateLimit-Policy`, as draft-ietf-httpapi-ratelimit-headers has them, and
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds) of the tightest policy.
    Both,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds) of the tightest policy.
    Legacy,
    /// None. The default.
    #[default]
    None,
    /// `RateLimit` and `RateLimit-Policy`, as draft-ietf-httpapi-ratelimit-headers has them.
    Standard,
}

impl Fields {
    pub(crate) fn has_standard(self) -> bool {
        matches!(self, Self::Both | Self::Standard)
    }

    pub(crate) fn has_legacy(self) -> bool {
        matches!(self, Self::Both | Self::Legacy)
    }
}

/// What becomes of a charge once the response is known.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Settlement {
    /// So many cells more are charged, whether they are there or not. A caller who owes is
    /// refused until he has paid.
    Charge(u64),
    /// The charge stands.
    Keep,
    /// The charge is given back, as far as time has not given it back already.
    Refund,
}

/// Describes a [`RateLimitConfig`]; made by [`RateLimitConfig::builder`].
#[derive(Clone)]
#[must_use = "call build to get the configuration"]
pub struct RateLimitConfigBuilder {
    limiter: LimiterBuilder,
    rules: Rules,
    enforcement: Enforcement,
    observer: Option<Arc<dyn Observe>>,
    #[cfg(any(feature = "envoy", feature = "redis"))]
    shared: Option<(Store, Sharing)>,
}

impl RateLimitConfig {
    /// Begins the configuration of a layer that counts requests by `key`.
    pub fn builder(key: Key) -> RateLimitConfigBuilder {
        RateLimitConfigBuilder {
            limiter: Limiter::builder(),
            rules: Rules {
                key,
                missing: MissingKey::default(),
                conditions: Vec::new(),
                cost: None,
                settlement: None,
                fields: Fields::default(),
            },
            enforcement: Enforcement::default(),
            observer: None,
            #[cfg(any(feature = "envoy", feature = "redis"))]
            shared: None,
        }
    }
}

impl RateLimitConfigBuilder {
    /// Adds a policy that applies to every request. A request must satisfy all that apply; put
    /// the one that refuses most first.
    pub fn add_policy(mut self, policy: Policy) -> Self {
        self.limiter = self.limiter.add_policy(policy);
        self.rules.conditions.push(None);
        self
    }

    /// Adds a policy that applies to requests that fulfil a condition: for plans and tiers. The
    /// condition must rest on verified facts, those of [`Inspection::context`].
    ///
    /// A request to which no policy applies is refused with `ratelimit.no_policy`.
    pub fn add_policy_if<F>(mut self, policy: Policy, condition: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> bool + Send + Sync + 'static,
    {
        self.limiter = self.limiter.add_policy(policy);
        self.rules.conditions.push(Some(Arc::new(condition)));
        self
    }

    /// Sets what a request costs, from its head; one cell by default. What costs nothing is
    /// refused only to a caller who owes.
    pub fn with_cost<F>(mut self, cost: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> u64 + Send + Sync + 'static,
    {
        self.rules.cost = Some(Arc::new(cost));
        self
    }

    /// Sets what becomes of a charge once the head of the response is known: what the request
    /// turned out to cost is charged, or what was for nothing is refunded.
    ///
    /// ```
    /// use bartizan_ratelimit::{Key, RateLimitConfig, Settlement};
    ///
    /// // Failed authentication further in costs the address ten requests more.
    /// let config = RateLimitConfig::builder(Key::address()).with_settlement(|response| {
    ///     match response.status.as_u16() {
    ///         401 => Settlement::Charge(10),
    ///         503 => Settlement::Refund,
    ///         _ => Settlement::Keep,
    ///     }
    /// });
    /// # let _ = config;
    /// ```
    ///
    /// A request that is dropped before its response has begun keeps its charge. The refusal of a
    /// guard further in is a response like any other, also where both stand in one
    /// [`Chain`](bartizan_core::Chain): a limit by address can charge for failed authentication.
    ///
    /// A gRPC service answers 200 and tells its status in `grpc-status`, in the head only if it
    /// refused at once.
    pub fn with_settlement<F>(mut self, settle: F) -> Self
    where
        F: Fn(&response::Parts) -> Settlement + Send + Sync + 'static,
    {
        self.rules.settlement = Some(Arc::new(settle));
        self
    }

    /// Sets what becomes of requests that lack what they would be counted by.
    pub fn with_missing_key(mut self, missing: MissingKey) -> Self {
        self.rules.missing = missing;
        self
    }

    /// Sets which fields responses carry.
    pub fn with_fields(mut self, fields: Fields) -> Self {
        self.rules.fields = fields;
        self
    }

    /// Sets whether a refusal reaches the client. In shadow mode everything is counted and
    /// recorded as it would be, and every request passes. For a single policy, see
    /// [`Policy::in_shadow`].
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Sets who is told of each decision.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets where time is read from.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.limiter = self.limiter.with_clock(clock);
        self
    }

    /// Reads the kernel's coarse clock; see [`LimiterBuilder::with_coarse_clock`].
    #[cfg(all(feature = "coarse-clock", target_os = "linux"))]
    pub fn with_coarse_clock(mut self) -> Self {
        self.limiter = self.limiter.with_coarse_clock();
        self
    }

    /// Shares the limits with a fleet through a store; see [`SharedLimiter`] for how that
    /// decides.
    ///
    /// The memory is taken twice: for whom the store is known to refuse, and for what this
    /// instance grants while the store is away.
    #[cfg(any(feature = "envoy", feature = "redis"))]
    pub fn with_store(mut self, store: impl Into<Store>, sharing: Sharing) -> Self {
        self.shared = Some((store.into(), sharing));
        self
    }

    /// Checks everything, and takes the memory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as [`LimiterBuilder::build`]; with a store also [`ConfigError::Sharing`].
    pub fn build(self) -> Result<RateLimitConfig, ConfigError> {
        let mut duty = Duty::new(LAYER).with_enforcement(self.enforcement);
        if let Some(observer) = self.observer {
            duty = duty.with_observer(observer);
        }
        #[cfg(any(feature = "envoy", feature = "redis"))]
        if let Some((store, sharing)) = self.shared {
            let observer = duty.observer().cloned();
            let shared = SharedLimiter::new(self.limiter, store, sharing, observer)?;
            return Ok(RateLimitConfig {
                limiter: shared.limiter().clone(),
                duty,
                rules: self.rules,
                shared: Some(shared),
            });
        }
        Ok(RateLimitConfig {
            limiter: self.limiter.build()?,
            duty,
            rules: self.rules,
            #[cfg(any(feature = "envoy", feature = "redis"))]
            shared: None,
        })
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("key", &self.key)
            .field("missing", &self.missing)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RateLimitConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitConfigBuilder")
            .field("limiter", &self.limiter)
            .field("rules", &self.rules)
            .field("enforcement", &self.enforcement)
            .finish_non_exhaustive()
    }
}
