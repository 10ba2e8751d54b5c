//! What a layer is made of: rules, the whereabouts of keys, and how it behaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Duty, Enforcement, Observe, SystemClock};
use bartizan_source::{HttpsFetcher, RefreshAheadBuilder, Roots};

use crate::error::ConfigError;
use crate::issuer;
use crate::key_set::KeySet;
use crate::key_source::Loader;
use crate::rules::{Rules, within};

/// How long a request waits for keys that it needs and that are not there. A healthy issuer
/// answers in a tenth of that, and a client's patience is longer.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(2);

/// A checked configuration of a [`JwtLayer`](crate::JwtLayer).
///
/// Without further words, keys are found through the issuer's discovery document over HTTPS, and
/// kept fresh:
///
/// | setting | default | reason |
/// |---|---|---|
/// | key lifetime | 10 min | a withdrawn key is refused after that; what Envoy and jose take |
/// | stale limit | 24 h | an issuer may be down for a working day without taking its users down |
/// | cool-down | 30 s | made-up key identifiers cost the issuer two fetches a minute |
/// | patience | 2 s | how long a request with an unknown key waits for newer keys |
///
/// ```
/// use bartizan_jwt::{JwtConfig, Rules};
///
/// let rules = Rules::builder("https://issuer.example", "https://orders.example").build()?;
/// let config = JwtConfig::builder(rules).with_realm("orders").build()?;
/// # let _ = config;
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct JwtConfig {
    pub(crate) rules: Rules,
    pub(crate) keys: Keys,
    pub(crate) duty: Duty,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) realm: Box<str>,
    pub(crate) patience: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Keys {
    Fixed(KeySet),
    Remote(Loader, RefreshAheadBuilder<KeySet>),
}

/// Describes a [`JwtConfig`]; made by [`JwtConfig::builder`].
#[derive(Clone)]
#[must_use = "call build to get the configuration"]
pub struct JwtConfigBuilder {
    rules: Rules,
    keys: Option<KeySet>,
    location: Option<String>,
    roots: Option<Roots>,
    fetcher: Option<HttpsFetcher>,
    key_lifetime: Duration,
    stale_limit: Duration,
    cool_down: Duration,
    patience: Duration,
    realm: Option<String>,
    enforcement: Enforcement,
    observer: Option<Arc<dyn Observe>>,
    clock: Arc<dyn Clock>,
}

impl JwtConfig {
    /// Begins the configuration of a layer that admits tokens which fulfil `rules`.
    pub fn builder(rules: Rules) -> JwtConfigBuilder {
        JwtConfigBuilder {
            rules,
            keys: None,
            location: None,
            roots: None,
            fetcher: None,
            key_lifetime: Duration::from_secs(600),
            stale_limit: Duration::from_secs(24 * 3600),
            cool_down: Duration::from_secs(30),
            patience: DEFAULT_PATIENCE,
            realm: None,
            enforcement: Enforcement::Enforce,
            observer: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// What a token must fulfil.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

impl JwtConfigBuilder {
    /// Verifies with these keys and fetches none. Overrides every setting about fetching.
    pub fn with_keys(mut self, keys: KeySet) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Fetches the keys from this URL, for issuers without a discovery document.
    pub fn with_key_location(mut self, url: &str) -> Self {
        self.location = Some(url.to_owned());
        self
    }

    /// Believes these certificate authorities about the issuer's host, instead of those of the
    /// public web: for an issuer with a certificate of a private authority.
    pub fn with_roots(mut self, roots: Roots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Fetches with this fetcher, for limits of its own or a client certificate. Overrides
    /// [`with_roots`](Self::with_roots).
    pub fn with_fetcher(mut self, fetcher: HttpsFetcher) -> Self {
        self.fetcher = Some(fetcher);
        self
    }

    /// Replaces how long fetched keys count as fresh. New ones are fetched before that.
    pub fn with_key_lifetime(mut self, lifetime: Duration) -> Self {
        self.key_lifetime = lifetime;
        self
    }

    /// Replaces how long keys are used while newer ones cannot be fetched; then requests are
    /// answered 503. At least the lifetime of keys.
    pub fn with_stale_limit(mut self, limit: Duration) -> Self {
        self.stale_limit = limit;
        self
    }

    /// Replaces how long after a fetch for an unknown key the next such fetch may begin.
    pub fn with_cool_down(mut self, span: Duration) -> Self {
        self.cool_down = span;
        self
    }

    /// Replaces how long a request whose key is unknown waits for newer keys: up to 30 s. Requests
    /// whose key is known never wait.
    pub fn with_patience(mut self, span: Duration) -> Self {
        self.patience = span;
        self
    }

    /// Replaces the realm that challenges name; the first audience by default.
    pub fn with_realm(mut self, realm: &str) -> Self {
        self.realm = Some(realm.to_owned());
        self
    }

    /// Sets whether a refusal reaches the client.
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Sets who is told of decisions, and of how the keys fare.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Replaces the clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<JwtConfig, ConfigError> {
        within(
            "patience",
            self.patience,
            Duration::ZERO,
            Duration::from_secs(30),
        )?;
        let realm = match &self.realm {
            Some(realm) => realm.as_str().into(),
            None => self.rules.audiences().next().unwrap_or_default().into(),
        };
        let mut duty = Duty::new("jwt").with_enforcement(self.enforcement);
        if let Some(observer) = &self.observer {
            duty = duty.with_observer(Arc::clone(observer));
        }
        Ok(JwtConfig {
            duty,
            realm,
            clock: Arc::clone(&self.clock),
            patience: self.patience,
            rules: self.rules.clone(),
            keys: self.keys()?,
        })
    }

    fn keys(self) -> Result<Keys, ConfigError> {
        if let Some(keys) = self.keys {
            return if keys.has_key_for(self.rules.algorithms()) {
                Ok(Keys::Fixed(keys))
            } else {
                Err(ConfigError::NoUsableKey {
                    ignored: keys.notices().len(),
                })
            };
        }
        if let Some(location) = &self.location
            && let Some(problem) = issuer::check(location)
        {
            return Err(ConfigError::InvalidLocation {
                location: location.clone(),
                problem,
            });
        }
        let (least, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
        within("key lifetime", self.key_lifetime, least, day)?;
        within("stale limit", self.stale_limit, self.key_lifetime, day * 30)?;
        within("cool-down", self.cool_down, least, day)?;
        let issuer = self.rules.issuer().clone();
        let mut refresh = RefreshAheadBuilder::new(format!("jwks {issuer}"))
            .with_ttl(self.key_lifetime)
            .with_stale_limit(self.stale_limit)
            .with_cool_down(self.cool_down)
            .with_clock(self.clock)
            .skip_unchanged();
        if let Some(observer) = &self.observer {
            refresh = refresh.with_observer(Arc::clone(observer));
        }
        let location = self.location.map(String::into_boxed_str);
        let fetcher = match self.fetcher {
            Some(fetcher) => fetcher,
            None => fetcher(location.as_deref().unwrap_or(issuer.as_str()), self.roots)?,
        };
        let algorithms = self.rules.algorithms();
        let observer = self.observer;
        Ok(Keys::Remote(
            Loader {
                fetcher,
                issuer,
                location,
                algorithms,
                observer,
            },
            refresh,
        ))
    }
}

/// Plain HTTP only where it is what was configured, which the check of issuers and locations
/// permits for loopback alone.
fn fetcher(entry: &str, roots: Option<Roots>) -> Result<HttpsFetcher, ConfigError> {
    let mut builder = HttpsFetcher::builder();
    if let Some(roots) = roots {
        builder = builder.with_roots(roots);
    }
    if entry.starts_with("http://") {
        builder = builder.allow_plaintext_loopback();
    }
    builder
        .build()
        .map_err(|error| ConfigError::Transport(error.into()))
}

impl fmt::Debug for JwtConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtConfigBuilder")
            .field("rules", &self.rules)
            .field("keys", &self.keys)
            .field("location", &self.location)
            .field("enforcement", &self.enforcement)
            .finish_non_exhaustive()
    }
}
