//! What a layer is made of: rules, the whereabouts of keys, and how it behaves.

mod keys;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Duty, Enforcement, Observe, SystemClock};
use bartizan_source::{HttpsFetcher, Roots};

pub(crate) use self::keys::Keys;
use crate::dpop::Dpop;
use crate::error::{ConfigError, Refusals};
use crate::guard::Behaviour;
use crate::introspection::Introspection;
use crate::issuer;
use crate::key_set::KeySet;
use crate::revocation::Revocations;
use crate::rules::{Rules, within};
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

impl JwtConfigBuilder {
    /// Verifies with these keys and fetches none. Overrides every setting about fetching.
    pub fn with_keys(mut self, keys: KeySet) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Reads the keys from this file and fetches none. The file is looked at every ten seconds; a
    /// new version that holds no usable key leaves the last good one in force. Overrides every
    /// setting about fetching.
    pub fn with_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
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

    /// Trusts another issuer as well: with the rules of `config`, and with its keys, kept as it
    /// says. Everything else is as this configuration has it.
    ///
    /// Which issuer is responsible for a token is decided by its `iss` alone. There is no
    /// fallback: a key of one never vouches for a token of another.
    ///
    /// ```
    /// use bartizan_jwt::{JwtConfig, Rules};
    ///
    /// let audience = "https://orders.example";
    /// let staff = Rules::builder("https://staff.example", audience).build()?;
    /// let partners = Rules::builder("https://partners.example", audience).build()?;
    /// let partners = JwtConfig::builder(partners).build()?;
    /// let config = JwtConfig::builder(staff).add_issuer(partners).build()?;
    /// assert_eq!(config.rules().count(), 2);
    /// # Ok::<(), bartizan_jwt::ConfigError>(())
    /// ```
    pub fn add_issuer(mut self, config: JwtConfig) -> Self {
        self.others.extend(config.issuers);
        self
    }

    /// Replaces how many verified tokens are remembered: up to 1048576. Zero turns it off.
    ///
    /// A remembered token is still held to its time, to the keys that the issuer publishes at
    /// present, to revocation and to its binding, each time. What is remembered is that its
    /// signature verified. Each layer remembers for itself.
    pub fn with_cached_tokens(mut self, count: usize) -> Self {
        self.cached_tokens = count;
        self
    }

    /// Replaces how long a verified token is remembered at most: 1 s to 300 s.
    pub fn with_cache_lifetime(mut self, lifetime: Duration) -> Self {
        self.cache_lifetime = lifetime;
        self
    }

    /// Accepts tokens that are bound to a key, with a proof of possession in each request. Without
    /// it they are refused.
    pub fn with_dpop(mut self, dpop: Dpop) -> Self {
        self.dpop = Some(dpop);
        self
    }

    /// Has opaque tokens introspected, besides verifying those that state their claims themselves.
    /// Which are which is decided by their form, so that no token of an issuer whose keys are
    /// known is ever asked about; see [`Introspection`].
    pub fn with_introspection(mut self, introspection: Introspection) -> Self {
        self.introspection = Some(introspection);
        self
    }

    /// Refuses tokens that are bound to nothing, and so could have been stolen.
    pub fn require_binding(mut self) -> Self {
        self.requires_binding = true;
        self
    }

    /// Asks whether a token was revoked, for each request and while responses go on.
    pub fn with_revocations(mut self, revocations: impl Revocations) -> Self {
        self.revocations = Some(Arc::new(revocations));
        self
    }

    /// Names the metadata of this service in challenges ([RFC 9728 §5.1]), by its URL:
    /// [`ResourceMetadata::url`](crate::ResourceMetadata::url).
    ///
    /// [RFC 9728 §5.1]: https://www.rfc-editor.org/rfc/rfc9728#section-5.1
    pub fn with_resource_metadata(mut self, url: &str) -> Self {
        self.metadata = Some(url.to_owned());
        self
    }

    /// Refuses tokens whose `acr` is none of `contexts`, and asks the client to have the user
    /// authenticate in one of these ways ([RFC 9470 §3]).
    ///
    /// [RFC 9470 §3]: https://www.rfc-editor.org/rfc/rfc9470#section-3
    pub fn require_authentication_context<'c>(
        mut self,
        contexts: impl IntoIterator<Item = &'c str>,
    ) -> Self {
        self.step_up.contexts = contexts.into_iter().map(Box::from).collect();
        self
    }

    /// Refuses tokens whose user authenticated (`auth_time`) longer ago than `span`, or that do
    /// not say when, and asks the client to have the user authenticate again.
    pub fn require_authentication_within(mut self, span: Duration) -> Self {
        self.step_up.within = Some(span);
        self
    }

    /// Takes the token from the cookie of this name as well.
    ///
    /// Browsers send cookies along with requests that another site caused: guard against that
    /// (`SameSite`, a check of `Origin`) before you turn it on.
    pub fn allow_cookie(mut self, name: &str) -> Self {
        self.cookie = Some(name.to_owned());
        self
    }

    /// Takes the token from `Sec-WebSocket-Protocol` as well, where it follows `marker` in the
    /// list: browsers cannot set other fields on a WebSocket. The service must answer with
    /// another protocol of the list than the token.
    pub fn allow_websocket_protocol(mut self, marker: &str) -> Self {
        self.protocol = Some(marker.to_owned());
        self
    }

    /// Lets requests without any token pass, as nobody: without a principal. A token that is
    /// there must still hold.
    pub fn allow_anonymous(mut self) -> Self {
        self.allows_anonymous = true;
        self
    }

    /// Keeps the verified token beside the request, as a [`CallerToken`](crate::CallerToken) in its
    /// extensions, so that an [`OutgoingLayer`](crate::OutgoingLayer) can pass it on or exchange
    /// it. One allocation for each request.
    pub fn allow_forwarding(mut self) -> Self {
        self.allows_forwarding = true;
        self
    }

    /// Lets a response go on after its token has expired. By default it ends with the token,
    /// also in the middle.
    pub fn allow_streams_past_expiry(mut self) -> Self {
        self.ends_streams = false;
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
        let (setting, value, most) = ("cached tokens", self.cached_tokens, 1 << 20);
        if value > most {
            return Err(ConfigError::CountOutOfRange {
                setting,
                value,
                most,
            });
        }
        within(
            "cache lifetime",
            self.cache_lifetime,
            Duration::from_secs(1),
            Duration::from_secs(300),
        )?;
        if let Some(location) = &self.metadata
            && let Some(problem) = issuer::check(location)
        {
            return Err(ConfigError::InvalidLocation {
                location: location.clone(),
                problem,
            });
        }
        for name in [&self.cookie, &self.protocol].into_iter().flatten() {
            if name.is_empty() || !name.bytes().all(is_token_char) {
                return Err(ConfigError::InvalidName(name.clone()));
            }
        }
        let realm = match &self.realm {
            Some(realm) => realm.as_str().into(),
            None => self.rules.audiences().next().unwrap_or_default().into(),
        };
        let proof_algorithms = self.dpop.as_ref().map(|dpop| dpop.algorithm_names().into());
        let behaviour = Behaviour {
            refusals: Refusals {
                realm,
                proof_algorithms,
                metadata: self.metadata.as_deref().map(Box::from),
                step_up: self.step_up.clone(),
            },
            revocations: self.revocations.clone(),
            dpop: self.dpop.clone(),
            requires_binding: self.requires_binding,
            patience: self.patience,
            cookie: self.cookie.as_deref().map(Box::from),
            protocol: self.protocol.as_deref().map(Box::from),
            allows_anonymous: self.allows_anonymous,
            allows_forwarding: self.allows_forwarding,
            ends_streams: self.ends_streams,
        };
        let mut duty = Duty::new("jwt").with_enforcement(self.enforcement);
        if let Some(observer) = &self.observer {
            duty = duty.with_observer(Arc::clone(observer));
        }
        let (clock, rules) = (Arc::clone(&self.clock), self.rules.clone());
        let (cached_tokens, cache_lifetime) = (self.cached_tokens, self.cache_lifetime);
        let others = self.others.clone();
        let introspection = self.introspection.clone().map(|settings| Introspecting {
            settings,
            asks_about_all: self.asks_about_all,
            observer: self.observer.clone(),
        });
        let mut issuers = if self.asks_about_all {
            Vec::new()
        } else {
            vec![(rules, self.keys()?)]
        };
        if issuers.is_empty() && !others.is_empty() {
            return Err(ConfigError::IntrospectsAll);
        }
        for (rules, keys) in others {
            let issuer = rules.issuer();
            if issuers.iter().any(|(known, _)| known.issuer() == issuer) {
                return Err(ConfigError::IssuerTwice(issuer.to_string()));
            }
            issuers.push((rules, keys));
        }
        Ok(JwtConfig {
            issuers,
            duty,
            clock,
            behaviour,
            introspection,
            cached_tokens,
            cache_lifetime,
        })
    }
}

/// A character of a token as HTTP has it, which names of cookies and protocols are.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
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
