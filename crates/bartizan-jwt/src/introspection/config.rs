//! How opaque tokens are introspected.

use std::num::NonZeroUsize;
use std::time::Duration;

use bartizan_source::{HttpsFetcher, Roots};

use super::answer::Waived;
use crate::authorization_server::{ClientAuthentication, Endpoint};
use crate::error::ConfigError;
use crate::rules::{Rules, within};

/// How many tokens are remembered that hold. With ordinary answers that is 20 MiB when it is full.
const DEFAULT_CACHED_TOKENS: usize = 16_384;

/// How long what a token stands for is remembered at most.
const DEFAULT_CACHE_LIFETIME: Duration = Duration::from_secs(60);

/// How long it is remembered that a token does not hold.
const DEFAULT_REFUSAL_LIFETIME: Duration = Duration::from_secs(10);

/// How many tokens are asked about at a time.
const DEFAULT_CONCURRENT_REQUESTS: usize = 64;

/// How opaque tokens are checked: by asking their issuer what they stand for ([RFC 7662]).
///
/// What the issuer answers is held to the same [`Rules`] as a token that states its claims itself:
/// issuer, audience, times, binding. RFC 7662 leaves most of them out of what an answer must have;
/// an answer that lacks one is refused unless an `allow_` verb says otherwise.
///
/// | setting | default | reason |
/// |---|---|---|
/// | cached tokens | 16384, for 60 s | a token that ended at its issuer is refused after that |
/// | refusals | for 10 s | a token that does not hold is asked about six times a minute |
/// | concurrent requests | 64 | a flood of made-up tokens is no flood for the issuer |
///
/// Which tokens are asked about: with
/// [`with_introspection`](crate::JwtConfigBuilder::with_introspection), those that nobody could
/// take for a JSON Web Token; all others are verified here, and **never** asked about, however
/// malformed they are. With [`JwtConfig::introspecting`](crate::JwtConfig::introspecting), all.
///
/// ```
/// use bartizan_jwt::{ClientAuthentication, Introspection, JwtConfig, Rules};
///
/// let rules = Rules::builder("https://issuer.example", "https://orders.example").build()?;
/// let secret = ClientAuthentication::basic("orders", "s3cr3t");
/// let url = "https://issuer.example/introspect";
/// let introspection = Introspection::builder(rules.clone(), url, secret.clone()).build()?;
/// let config = JwtConfig::builder(rules.clone()).with_introspection(introspection).build()?;
/// # let _ = config;
/// assert!(Introspection::builder(rules, "http://issuer.example/", secret).build().is_err());
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
///
/// [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662
#[derive(Clone, Debug)]
pub struct Introspection {
    pub(super) rules: Rules,
    pub(super) endpoint: Endpoint,
    pub(super) waived: Waived,
    pub(super) cached_tokens: usize,
    pub(super) cache_lifetime: Duration,
    pub(super) refusal_lifetime: Duration,
    pub(super) concurrent_requests: NonZeroUsize,
}

/// Describes an [`Introspection`]; made by [`Introspection::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the setting"]
pub struct IntrospectionBuilder {
    rules: Rules,
    url: String,
    authentication: ClientAuthentication,
    roots: Option<Roots>,
    fetcher: Option<HttpsFetcher>,
    waived: Waived,
    cached_tokens: usize,
    cache_lifetime: Duration,
    refusal_lifetime: Duration,
    concurrent_requests: usize,
}

impl Introspection {
    /// Begins the description of how tokens are introspected at `url`, and what an answer must
    /// fulfil.
    pub fn builder(
        rules: Rules,
        url: &str,
        authentication: ClientAuthentication,
    ) -> IntrospectionBuilder {
        IntrospectionBuilder {
            rules,
            url: url.to_owned(),
            authentication,
            roots: None,
            fetcher: None,
            waived: Waived::default(),
            cached_tokens: DEFAULT_CACHED_TOKENS,
            cache_lifetime: DEFAULT_CACHE_LIFETIME,
            refusal_lifetime: DEFAULT_REFUSAL_LIFETIME,
            concurrent_requests: DEFAULT_CONCURRENT_REQUESTS,
        }
    }

    /// What an answer must fulfil.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

impl IntrospectionBuilder {
    /// Believes these certificate authorities about the issuer's host, instead of those of the
    /// public web.
    pub fn with_roots(mut self, roots: Roots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Asks with this fetcher, for limits of its own. Overrides [`with_roots`](Self::with_roots),
    /// and is itself overridden by the one of [`ClientAuthentication::tls`].
    pub fn with_fetcher(mut self, fetcher: HttpsFetcher) -> Self {
        self.fetcher = Some(fetcher);
        self
    }

    /// Accepts answers that name no issuer: the endpoint speaks for its own.
    pub fn allow_missing_issuer(mut self) -> Self {
        self.waived.issuer = true;
        self
    }

    /// Accepts answers that name no audience. Then the issuer alone decides whom a token is for:
    /// only where it refuses to tell this service of tokens that are meant for others.
    pub fn allow_missing_audience(mut self) -> Self {
        self.waived.audience = true;
        self
    }

    /// Replaces how many tokens that hold are remembered: 1 to 1048576.
    pub fn with_cached_tokens(mut self, count: usize) -> Self {
        self.cached_tokens = count;
        self
    }

    /// Replaces how long what a token stands for is remembered at most: 1 s to 300 s. A token that
    /// is used is asked about again before that, in the background.
    pub fn with_cache_lifetime(mut self, lifetime: Duration) -> Self {
        self.cache_lifetime = lifetime;
        self
    }

    /// Replaces how long it is remembered that a token does not hold: up to 60 s.
    pub fn with_refusal_lifetime(mut self, lifetime: Duration) -> Self {
        self.refusal_lifetime = lifetime;
        self
    }

    /// Replaces how many tokens are asked about at a time: 1 to 65536. Requests beyond that are
    /// answered 503 at once. Tokens that held a moment ago have as many places of their own.
    pub fn with_concurrent_requests(mut self, count: usize) -> Self {
        self.concurrent_requests = count;
        self
    }

    /// Checks the setting.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first value that cannot work.
    pub fn build(self) -> Result<Introspection, ConfigError> {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        within("cache lifetime", self.cache_lifetime, second, minute * 5)?;
        within(
            "refusal lifetime",
            self.refusal_lifetime,
            Duration::ZERO,
            minute,
        )?;
        let count = |setting, value, most| {
            let counted = NonZeroUsize::new(value).filter(|value| value.get() <= most);
            counted.ok_or(ConfigError::CountOutOfRange {
                setting,
                value,
                most,
            })
        };
        count("cached tokens", self.cached_tokens, 1 << 20)?;
        let concurrent_requests = count("concurrent requests", self.concurrent_requests, 1 << 16)?;
        Ok(Introspection {
            endpoint: Endpoint::new(&self.url, self.authentication, self.roots, self.fetcher)?,
            rules: self.rules,
            waived: self.waived,
            cached_tokens: self.cached_tokens,
            cache_lifetime: self.cache_lifetime,
            refusal_lifetime: self.refusal_lifetime,
            concurrent_requests,
        })
    }
}
