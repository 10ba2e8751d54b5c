//! How a keyring behaves.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bartizan_core::{Clock, Observe, SystemClock};

use crate::error::ConfigError;
use crate::kek::Kek;
use crate::keyring::cache::{Cache, Limits};
use crate::keyring::patience::Patience;
use crate::keyring::{Keyring, State};
use crate::store::KeyStore;
use crate::suite::Suite;

/// Describes a [`Keyring`]; made by [`Keyring::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | ttl | 5 min | how long after an erasure another instance may still read |
/// | hard limit | 1 h | a key management service may be down for so long and nobody notices |
/// | uses | 2^20 | a key that is used much is asked for again, so that its use shows at the provider |
/// | scopes | 1024 | about 2 MiB of keys; personal keys that are not in use are fetched again |
/// | deadline | 5 s | for one call of store or provider, further attempts included: a cold key costs no more than a client's patience |
/// | attempts | 3 | a provider that fails is asked again, with waits that spread, while the deadline lasts |
#[must_use = "call build to get the keyring"]
pub struct KeyringBuilder {
    application: String,
    store: Arc<dyn KeyStore>,
    keks: Vec<Arc<dyn Kek>>,
    suite: Suite,
    limits: Limits,
    patience: Patience,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
}

impl KeyringBuilder {
    pub(super) fn new(application: &str, store: impl KeyStore, kek: impl Kek) -> Self {
        Self {
            application: application.to_owned(),
            store: Arc::new(store),
            keks: vec![Arc::new(kek)],
            suite: Suite::default(),
            limits: Limits {
                ttl: Duration::from_secs(300),
                hard: Duration::from_secs(3600),
                uses: 1 << 20,
                scopes: 1024,
            },
            patience: Patience {
                deadline: Duration::from_secs(5),
                attempts: 3,
            },
            clock: Arc::new(SystemClock),
            observer: None,
        }
    }

    /// Adds a key-encryption key that wraps nothing more, and unwraps what it wrapped before.
    pub fn add_previous_kek(mut self, kek: impl Kek) -> Self {
        self.keks.push(Arc::new(kek));
        self
    }

    /// Replaces the algorithms for sealing. Opening knows them all.
    pub fn with_suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Replaces how long keys serve before they are fetched again.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.limits.ttl = ttl;
        self
    }

    /// Replaces how long keys serve at most while they cannot be fetched again.
    pub fn with_hard_limit(mut self, limit: Duration) -> Self {
        self.limits.hard = limit;
        self
    }

    /// Replaces how often keys serve before they are fetched again.
    pub fn with_max_uses(mut self, uses: u64) -> Self {
        self.limits.uses = uses;
        self
    }

    /// Replaces how many scopes' keys are kept.
    pub fn with_max_scopes(mut self, scopes: usize) -> Self {
        self.limits.scopes = scopes;
        self
    }

    /// Replaces how long one call of the store or of a key-encryption key may take, further
    /// attempts included.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.patience.deadline = deadline;
        self
    }

    /// Replaces how often a key-encryption key is asked, the first time included, before it
    /// counts as unavailable. What it refuses is not asked again.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.patience.attempts = attempts;
        self
    }

    /// Replaces the clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets who is told of keys made, changed, destroyed, and of failures to have them.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Makes the keyring.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<Keyring, ConfigError> {
        if self.application.is_empty() || self.application.len() > crate::context::LONGEST_PART {
            return Err(ConfigError::Application(self.application.len()));
        }
        let Limits {
            ttl,
            hard,
            uses,
            scopes,
        } = self.limits;
        if ttl.is_zero() || hard < ttl {
            return Err(ConfigError::Lifetimes { ttl, hard });
        }
        if uses == 0 || scopes == 0 {
            return Err(ConfigError::Zero(if uses == 0 { "uses" } else { "scopes" }));
        }
        if self.patience.deadline.is_zero() {
            return Err(ConfigError::Zero("deadline"));
        }
        if self.patience.attempts == 0 {
            return Err(ConfigError::Zero("attempts"));
        }
        Ok(Keyring(Arc::new(State {
            application: self.application.into(),
            store: self.store,
            keks: self.keks,
            suite: self.suite,
            cache: Mutex::new(Cache::new(self.limits)),
            patience: self.patience,
            follower: OnceLock::new(),
            clock: self.clock,
            observer: self.observer,
        })))
    }
}

impl fmt::Debug for KeyringBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringBuilder")
            .field("application", &self.application)
            .field("store", &self.store)
            .field("keks", &self.keks)
            .field("limits", &self.limits)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
