//! What a layer is made of: rules, the whereabouts of keys, and how it behaves.

mod builder;
mod checks;
mod keys;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Duty, Enforcement, Observe, SystemClock};
use bartizan_source::{HttpsFetcher, Roots};

pub(crate) use self::keys::Keys;
use crate::dpop::Dpop;
use crate::guard::Behaviour;
use crate::introspection::Introspection;
use crate::key_set::KeySet;
use crate::revocation::Revocations;
use crate::rules::Rules;
use crate::step_up::StepUp;

/// How long a request waits for keys that it needs and that are not there. A healthy issuer
/// answers in a tenth of that, and a client's patience is longer.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(2);

/// How many verified tokens are remembered. With ordinary tokens that is 40 MiB when it is full.
const DEFAULT_CACHED_TOKENS: usize = 16_384;

/// How long a verified token is remembered at most.
const DEFAULT_CACHE_LIFETIME: Duration = Duration::from_secs(60);

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
/// | cached tokens | 16384, for 60 s | a client uses its token for many requests, and verifying costs a hundred times as much as remembering |
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
    pub(crate) issuers: Vec<(Rules, Keys)>,
    pub(crate) duty: Duty,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) behaviour: Behaviour,
    pub(crate) introspection: Option<Introspecting>,
    pub(crate) cached_tokens: usize,
    pub(crate) cache_lifetime: Duration,
}

/// How opaque tokens are checked, and whether they are all that there is.
#[derive(Clone, Debug)]
pub(crate) struct Introspecting {
    pub(crate) settings: Introspection,
    pub(crate) asks_about_all: bool,
    pub(crate) observer: Option<Arc<dyn Observe>>,
}

/// Describes a [`JwtConfig`]; made by [`JwtConfig::builder`].
#[derive(Clone)]
#[must_use = "call build to get the configuration"]
pub struct JwtConfigBuilder {
    rules: Rules,
    others: Vec<(Rules, Keys)>,
    keys: Option<KeySet>,
    file: Option<PathBuf>,
    location: Option<String>,
    roots: Option<Roots>,
    fetcher: Option<HttpsFetcher>,
    key_lifetime: Duration,
    stale_limit: Duration,
    cool_down: Duration,
    patience: Duration,
    cached_tokens: usize,
    cache_lifetime: Duration,
    dpop: Option<Dpop>,
    introspection: Option<Introspection>,
    asks_about_all: bool,
    requires_binding: bool,
    revocations: Option<Arc<dyn Revocations>>,
    metadata: Option<String>,
    step_up: StepUp,
    cookie: Option<String>,
    protocol: Option<String>,
    allows_anonymous: bool,
    allows_forwarding: bool,
    ends_streams: bool,
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
            others: Vec::new(),
            keys: None,
            file: None,
            location: None,
            roots: None,
            fetcher: None,
            key_lifetime: Duration::from_secs(600),
            stale_limit: Duration::from_secs(24 * 3600),
            cool_down: Duration::from_secs(30),
            patience: DEFAULT_PATIENCE,
            cached_tokens: DEFAULT_CACHED_TOKENS,
            cache_lifetime: DEFAULT_CACHE_LIFETIME,
            dpop: None,
            introspection: None,
            asks_about_all: false,
            requires_binding: false,
            revocations: None,
            metadata: None,
            step_up: StepUp::default(),
            cookie: None,
            protocol: None,
            allows_anonymous: false,
            allows_forwarding: false,
            ends_streams: true,
            realm: None,
            enforcement: Enforcement::Enforce,
            observer: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Begins the configuration of a layer that has every token introspected, whatever it looks
    /// like, and verifies none itself: for issuers without keys, and where a token must be refused
    /// as soon as its issuer says so. Settings about keys mean nothing then.
    ///
    /// ```
    /// use bartizan_jwt::{ClientAuthentication, Introspection, JwtConfig, Rules};
    ///
    /// let rules = Rules::builder("https://issuer.example", "https://orders.example").build()?;
    /// let secret = ClientAuthentication::basic("orders", "s3cr3t");
    /// let url = "https://issuer.example/introspect";
    /// let introspection = Introspection::builder(rules, url, secret).build()?;
    /// let config = JwtConfig::introspecting(introspection).build()?;
    /// assert_eq!(config.rules().count(), 1);
    /// # Ok::<(), bartizan_jwt::ConfigError>(())
    /// ```
    pub fn introspecting(introspection: Introspection) -> JwtConfigBuilder {
        let mut builder = Self::builder(introspection.rules().clone());
        builder.asks_about_all = true;
        builder.with_introspection(introspection)
    }

    /// What a token must fulfil, for each issuer that is trusted.
    pub fn rules(&self) -> impl Iterator<Item = &Rules> {
        let verified = self.issuers.iter().map(|(rules, _)| rules);
        let introspected = self.introspection.as_ref().map(|it| it.settings.rules());
        // An issuer of both kinds of token is one issuer.
        verified.chain(introspected.filter(|rules| {
            let mut others = self.issuers.iter();
            others.all(|(other, _)| other.issuer() != rules.issuer())
        }))
    }
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
