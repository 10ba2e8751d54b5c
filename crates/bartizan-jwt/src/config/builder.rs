//! What can be said of a layer, besides its rules.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Enforcement, Observe};
use bartizan_source::{HttpsFetcher, Roots};

use super::{JwtConfig, JwtConfigBuilder};
use crate::dpop::Dpop;
use crate::introspection::Introspection;
use crate::key_set::KeySet;
use crate::revocation::Revocations;

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

    /// Replaces how long a request whose key is unknown waits for newer keys, and one whose token or
    /// proof is asked about elsewhere for the answer: up to 30 s. Others never wait.
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
    /// authenticate in one of these ways ([RFC 9470 §3]). A list of none is a mistake.
    ///
    /// [RFC 9470 §3]: https://www.rfc-editor.org/rfc/rfc9470#section-3
    pub fn require_authentication_context<'c>(
        mut self,
        contexts: impl IntoIterator<Item = &'c str>,
    ) -> Self {
        self.step_up.contexts = Some(contexts.into_iter().map(Box::from).collect());
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
}
