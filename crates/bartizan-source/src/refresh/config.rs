//! How long a value is fresh, how long it is served, and how hard the loader is tried.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Observe, SystemClock};

use crate::error::{BoxError, ConfigError, SourceError};
use crate::refresh::ahead::RefreshAhead;

/// Describes a [`RefreshAhead`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | ttl | 10 min | what Envoy and jose keep a key set for; a withdrawn key is refused after that |
/// | stale limit | 24 h | an issuer may be down for a working day without taking its users down |
/// | cool-down | 30 s | made-up key ids cost the issuer two fetches a minute at most |
/// | retry | 1 s to 60 s | quick after a blip, gentle in an outage |
/// | load timeout | 30 s | a loader should bound itself; this is for one that does not |
#[derive(Clone)]
#[must_use = "a description does nothing until it is loaded or started"]
pub struct RefreshAheadBuilder<T> {
    pub(super) name: Arc<str>,
    pub(super) ttl: Duration,
    pub(super) stale_limit: Duration,
    pub(super) cool_down: Duration,
    pub(super) retry: (Duration, Duration),
    pub(super) load_timeout: Duration,
    pub(super) same: Option<fn(&T, &T) -> bool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observe>>,
}

impl<T: Send + Sync + 'static> RefreshAheadBuilder<T> {
    /// A source with this name, such as `jwks https://issuer.example`: it appears as the subject
    /// of events.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            ttl: Duration::from_secs(600),
            stale_limit: Duration::from_secs(24 * 3600),
            cool_down: Duration::from_secs(30),
            retry: (Duration::from_secs(1), Duration::from_secs(60)),
            load_timeout: Duration::from_secs(30),
            same: None,
            clock: Arc::new(SystemClock),
            observer: None,
        }
    }

    /// How long a value counts as fresh. The next one is fetched at four fifths of it, give or
    /// take a tenth of that.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long after the last success the value is served while fetching fails.
    pub fn with_stale_limit(mut self, limit: Duration) -> Self {
        self.stale_limit = limit;
        self
    }

    /// How long after a forced fetch the next one may begin.
    pub fn with_cool_down(mut self, cool_down: Duration) -> Self {
        self.cool_down = cool_down;
        self
    }

    /// The first and the longest wait after a failed fetch; see [`Backoff`](crate::Backoff).
    pub fn with_retry(mut self, base: Duration, cap: Duration) -> Self {
        self.retry = (base, cap);
        self
    }

    /// How long one fetch may take; it is cancelled then, and counts as failed.
    pub fn with_load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// The clock by which age and cool-down are measured and versions dated. Waiting is tokio's
    /// business.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Who is told of new versions and failures.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Keeps the generation when the fetched value equals the present one, so that what is cached
    /// under the generation stays valid. Without this, each fetch publishes a new version.
    pub fn skip_unchanged(mut self) -> Self
    where
        T: PartialEq,
    {
        self.same = Some(PartialEq::eq);
        self
    }

    /// Fetches the first value, and keeps it fresh from then on: for a service that must not
    /// start without.
    ///
    /// What `load` returns as an error is shown to operators, and must not quote secrets.
    ///
    /// # Errors
    ///
    /// If a setting cannot work, or the first fetch fails.
    pub async fn load<L, Fut, E>(self, load: L) -> Result<RefreshAhead<T>, SourceError>
    where
        L: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.validate()?;
        RefreshAhead::loaded(self, load).await
    }

    /// Begins empty and fetches at once in the background: for a service that may start before
    /// its issuer. Meanwhile readers are told [`Unavailable::NotLoaded`](crate::Unavailable).
    ///
    /// # Errors
    ///
    /// If a setting cannot work, or there is no tokio runtime to work in.
    pub fn start<L, Fut, E>(self, load: L) -> Result<RefreshAhead<T>, SourceError>
    where
        L: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.validate()?;
        RefreshAhead::started(self, load)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        for (setting, span) in [
            ("ttl", self.ttl),
            ("retry base", self.retry.0),
            ("retry cap", self.retry.1),
            ("load timeout", self.load_timeout),
        ] {
            ConfigError::require_positive(setting, span)?;
        }
        if self.stale_limit < self.ttl {
            let setting = "stale limit (shorter than the ttl)";
            return Err(ConfigError::Duration {
                setting,
                given: self.stale_limit,
            });
        }
        Ok(())
    }
}

impl<T> fmt::Debug for RefreshAheadBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshAheadBuilder")
            .field("name", &self.name)
            .field("ttl", &self.ttl)
            .field("stale_limit", &self.stale_limit)
            .field("cool_down", &self.cool_down)
            .field("retry", &self.retry)
            .field("load_timeout", &self.load_timeout)
            .finish_non_exhaustive()
    }
}
