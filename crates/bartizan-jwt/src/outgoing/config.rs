//! Which tokens outgoing calls carry, where they may go, and where they come from.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bartizan_core::{Clock, Observe, SystemClock};
use bartizan_source::{HttpsFetcher, Roots};

use super::destination::{Destination, Destinations};
use super::supply::{Kind, Plan, Watch};
use crate::authorization_server::{ClientAuthentication, Endpoint};
use crate::error::ConfigError;

/// How many exchanged tokens are kept. With ordinary tokens that is 10 MiB when it is full.
const DEFAULT_CACHED_TOKENS: usize = 4096;

/// How many tokens are asked for at a time. A server that answers in a tenth of a second gives
/// 640 tokens a second then.
const DEFAULT_CONCURRENT_REQUESTS: usize = 64;

/// Where an authorization server gives tokens ([RFC 6749 §3.2]), and how this service
/// authenticates there.
///
/// Reached over HTTPS alone, or over plain HTTP on loopback; no redirect is followed, an answer
/// has at most 64 KiB, and takes at most 5 s.
///
/// ```
/// use bartizan_jwt::{ClientAuthentication, TokenEndpoint};
///
/// let secret = ClientAuthentication::basic("orders", "s3cr3t");
/// let endpoint = TokenEndpoint::builder("https://issuer.example/token", secret.clone()).build()?;
/// # let _ = endpoint;
/// assert!(TokenEndpoint::builder("http://issuer.example/token", secret).build().is_err());
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
///
/// [RFC 6749 §3.2]: https://www.rfc-editor.org/rfc/rfc6749#section-3.2
#[derive(Clone, Debug)]
pub struct TokenEndpoint(Endpoint);

/// Describes a [`TokenEndpoint`]; made by [`TokenEndpoint::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the endpoint"]
pub struct TokenEndpointBuilder {
    url: String,
    authentication: ClientAuthentication,
    roots: Option<Roots>,
    fetcher: Option<HttpsFetcher>,
}

impl TokenEndpoint {
    /// Begins the description of the token endpoint at `url`.
    pub fn builder(url: &str, authentication: ClientAuthentication) -> TokenEndpointBuilder {
        TokenEndpointBuilder {
            url: url.to_owned(),
            authentication,
            roots: None,
            fetcher: None,
        }
    }
}

impl TokenEndpointBuilder {
    /// Believes these certificate authorities about the server, instead of those of the public
    /// web.
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

    /// Checks the description.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming what cannot work.
    pub fn build(self) -> Result<TokenEndpoint, ConfigError> {
        let endpoint = Endpoint::new(&self.url, self.authentication, self.roots, self.fetcher);
        endpoint.map(TokenEndpoint)
    }
}

/// What a token is asked for: the least that the calls need.
///
/// ```
/// use bartizan_jwt::{ClientAuthentication, TokenEndpoint, TokenRequest};
///
/// # let secret = ClientAuthentication::basic("orders", "s3cr3t");
/// # let endpoint = TokenEndpoint::builder("https://issuer.example/token", secret).build()?;
/// let request = TokenRequest::new(endpoint)
///     .with_scopes(["payments:create"])
///     .add_resource("https://payments.example");
/// # let _ = request;
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request is put into a configuration"]
pub struct TokenRequest {
    endpoint: TokenEndpoint,
    scopes: Vec<Box<str>>,
    audiences: Vec<Box<str>>,
    resources: Vec<Box<str>>,
}

impl TokenRequest {
    /// Asks at this endpoint, for what the server gives this client by default.
    pub fn new(endpoint: TokenEndpoint) -> Self {
        Self {
            endpoint,
            scopes: Vec::new(),
            audiences: Vec::new(),
            resources: Vec::new(),
        }
    }

    /// Asks for these scopes alone ([RFC 6749 §3.3]).
    ///
    /// [RFC 6749 §3.3]: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
    pub fn with_scopes<'s>(mut self, scopes: impl IntoIterator<Item = &'s str>) -> Self {
        self.scopes = scopes.into_iter().map(Box::from).collect();
        self
    }

    /// Names a service that the token is for, as the server knows it ([RFC 8693 §2.1]).
    ///
    /// [RFC 8693 §2.1]: https://www.rfc-editor.org/rfc/rfc8693#section-2.1
    pub fn add_audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Names a service that the token is for, by its URL ([RFC 8707 §2]).
    ///
    /// [RFC 8707 §2]: https://www.rfc-editor.org/rfc/rfc8707#section-2
    pub fn add_resource(mut self, resource: &str) -> Self {
        self.resources.push(resource.into());
        self
    }

    fn plan(self, kind: Kind) -> Result<Plan, ConfigError> {
        // A character of scope-token, RFC 6749 §3.3.
        let is_scope = |text: &str| {
            let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            !text.is_empty() && text.bytes().all(is_allowed)
        };
        if let Some(bad) = self.scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(ConfigError::InvalidScope(bad.to_string()));
        }
        if self.audiences.iter().any(|audience| audience.is_empty()) {
            return Err(ConfigError::EmptyAudience);
        }
        //= RFC 8707 §2: Its value MUST be an absolute URI [...] The URI MUST NOT include a fragment
        //= component.
        let is_absolute = |text: &str| {
            text.contains(':') && !text.contains('#') && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if let Some(bad) = self
            .resources
            .iter()
            .find(|resource| !is_absolute(resource))
        {
            return Err(ConfigError::InvalidResource(bad.to_string()));
        }
        let mut fields = Vec::new();
        if !self.scopes.is_empty() {
            fields.push(("scope", self.scopes.join(" ").into()));
        }
        fields.extend(
            self.audiences
                .into_iter()
                .map(|audience| ("audience", audience)),
        );
        fields.extend(
            self.resources
                .into_iter()
                .map(|resource| ("resource", resource)),
        );
        Ok(Plan {
            endpoint: self.endpoint.0,
            kind,
            fields,
            actor: None,
        })
    }
}

/// A checked configuration of an [`OutgoingLayer`](crate::OutgoingLayer): which token calls
/// carry, and where they may go.
///
/// | setting | default | reason |
/// |---|---|---|
/// | destinations | none | a token goes nowhere that was not said |
/// | cached tokens | 4096 | one for each caller at a time |
/// | concurrent requests | 64 | a flood of callers is no flood for the authorization server |
///
/// ```
/// use bartizan_jwt::OutgoingConfig;
///
/// let config = OutgoingConfig::forward().add_destination("https://payments.example").build()?;
/// # let _ = config;
/// assert!(OutgoingConfig::forward().build().is_err());
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OutgoingConfig {
    pub(super) means: Means,
    pub(super) destinations: Destinations,
    pub(super) watch: Watch,
    pub(super) cached_tokens: usize,
    pub(super) concurrent_requests: NonZeroUsize,
}

/// How a call comes by its token.
#[derive(Clone, Debug)]
pub(super) enum Means {
    Forward,
    Obtain(Plan),
}

/// Describes an [`OutgoingConfig`].
#[derive(Clone)]
#[must_use = "call build to get the configuration"]
pub struct OutgoingConfigBuilder {
    asked: Asked,
    destinations: Vec<(String, bool)>,
    channel: Option<String>,
    cached_tokens: usize,
    concurrent_requests: usize,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
}

#[derive(Clone, Debug)]
enum Asked {
    Forward,
    Own(TokenRequest),
    Exchanged(TokenRequest),
    ExchangedByActor(TokenRequest, TokenRequest),
}

impl OutgoingConfig {
    /// Calls carry the token that the request came with, as it is. Whoever is called can use it
    /// as the caller could: prefer [`exchange`](Self::exchange) where the authorization server
    /// can do it.
    pub fn forward() -> OutgoingConfigBuilder {
        OutgoingConfigBuilder::new(Asked::Forward)
    }

    /// Calls carry a token of this service's own, by client credentials ([RFC 6749 §4.4]).
    ///
    /// [RFC 6749 §4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4
    pub fn client_credentials(request: TokenRequest) -> OutgoingConfigBuilder {
        OutgoingConfigBuilder::new(Asked::Own(request))
    }

    /// Calls carry a token that the caller's was exchanged for ([RFC 8693]): for the service that
    /// is called alone, and with the scopes of `request` alone.
    ///
    /// [RFC 8693]: https://www.rfc-editor.org/rfc/rfc8693
    pub fn exchange(request: TokenRequest) -> OutgoingConfigBuilder {
        OutgoingConfigBuilder::new(Asked::Exchanged(request))
    }

    /// As [`exchange`](Self::exchange), with a token of this service's own, by client credentials,
    /// as the actor's: the new token then says who acts for the caller ([RFC 8693 §1.1]).
    ///
    /// [RFC 8693 §1.1]: https://www.rfc-editor.org/rfc/rfc8693#section-1.1
    pub fn exchange_as_actor(request: TokenRequest, actor: TokenRequest) -> OutgoingConfigBuilder {
        OutgoingConfigBuilder::new(Asked::ExchangedByActor(request, actor))
    }
}

impl OutgoingConfigBuilder {
    fn new(asked: Asked) -> Self {
        Self {
            asked,
            destinations: Vec::new(),
            channel: None,
            cached_tokens: DEFAULT_CACHED_TOKENS,
            concurrent_requests: DEFAULT_CONCURRENT_REQUESTS,
            clock: Arc::new(SystemClock),
            observer: None,
        }
    }

    /// Lets calls to this origin (scheme, host and port) carry the token. HTTPS, or plain HTTP to
    /// loopback.
    pub fn add_destination(mut self, origin: &str) -> Self {
        self.destinations.push((origin.to_owned(), false));
        self
    }

    /// As [`add_destination`](Self::add_destination), for an `http://` origin anywhere. Only for
    /// clients whose connector speaks TLS whatever the scheme says, as that of `bartizan-mtls`
    /// under tonic: over a bare connection, everybody on the way reads the token.
    pub fn dangerous_add_http_destination(mut self, origin: &str) -> Self {
        self.destinations.push((origin.to_owned(), true));
        self
    }

    /// Lets calls whose URI names no host carry the token: for an inner service that leads to
    /// this one origin whatever the URI says, as a tonic channel with a stub that was made
    /// without an origin.
    pub fn with_channel_destination(mut self, origin: &str) -> Self {
        self.channel = Some(origin.to_owned());
        self
    }

    /// Replaces how many exchanged tokens are kept: 1 to 1048576.
    pub fn with_cached_tokens(mut self, count: usize) -> Self {
        self.cached_tokens = count;
        self
    }

    /// Replaces how many tokens are asked for at a time: 1 to 65536. Calls beyond that fail at
    /// once, as [`Overloaded`](crate::TokenErrorKind::Overloaded).
    pub fn with_concurrent_requests(mut self, count: usize) -> Self {
        self.concurrent_requests = count;
        self
    }

    /// Replaces the clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets who is told when the authorization server gives no token any more, and when it does
    /// again.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<OutgoingConfig, ConfigError> {
        let mut destinations = Destinations::default();
        for (origin, allows_http) in &self.destinations {
            destinations.add(Destination::parse(origin, *allows_http)?);
        }
        if let Some(origin) = &self.channel {
            destinations.set_bare(Destination::parse(origin, false)?);
        }
        if destinations.is_empty() {
            return Err(ConfigError::NoDestination);
        }
        count("cached tokens", self.cached_tokens, 1 << 20)?;
        let concurrent_requests = count("concurrent requests", self.concurrent_requests, 1 << 16)?;
        let means = match self.asked {
            Asked::Forward => Means::Forward,
            Asked::Own(request) => Means::Obtain(request.plan(Kind::ClientCredentials)?),
            Asked::Exchanged(request) => Means::Obtain(request.plan(Kind::Exchange)?),
            Asked::ExchangedByActor(request, actor) => {
                let actor = Some(Box::new(actor.plan(Kind::ClientCredentials)?));
                let plan = request.plan(Kind::Exchange)?;
                Means::Obtain(Plan { actor, ..plan })
            }
        };
        Ok(OutgoingConfig {
            means,
            destinations,
            watch: Watch {
                clock: self.clock,
                observer: self.observer,
            },
            cached_tokens: self.cached_tokens,
            concurrent_requests,
        })
    }
}

fn count(setting: &'static str, value: usize, most: usize) -> Result<NonZeroUsize, ConfigError> {
    let value_or_none = NonZeroUsize::new(value).filter(|value| value.get() <= most);
    value_or_none.ok_or(ConfigError::CountOutOfRange {
        setting,
        value,
        most,
    })
}

impl fmt::Debug for OutgoingConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingConfigBuilder")
            .field("asked", &self.asked)
            .field("destinations", &self.destinations)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> TokenRequest {
        let authentication = ClientAuthentication::basic("orders", "secret");
        let endpoint = TokenEndpoint::builder("https://issuer.example/token", authentication);
        TokenRequest::new(endpoint.build().unwrap())
    }

    #[track_caller]
    fn check(request: TokenRequest, expected: bool) {
        let config = OutgoingConfig::client_credentials(request)
            .add_destination("https://b.example")
            .build();
        assert_eq!(config.is_ok(), expected, "{config:?}");
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_when_it_is_configured() {
        check(request(), true);
        check(request().with_scopes(["a:b", "c/d"]), true);
        check(request().with_scopes(["a b"]), false);
        check(request().with_scopes([""]), false);
        check(request().with_scopes(["a\"b"]), false);
        check(request().add_audience("payments"), true);
        check(request().add_audience(""), false);
        check(request().add_resource("https://b.example/x"), true);
        check(request().add_resource("b.example"), false);
        check(request().add_resource("https://b.example/#x"), false);
    }

    #[test]
    fn limits_are_bounded() {
        let build = |tokens, requests| {
            let builder = OutgoingConfig::exchange(request()).add_destination("https://b.example");
            let builder = builder
                .with_cached_tokens(tokens)
                .with_concurrent_requests(requests);
            builder.build().is_ok()
        };
        assert!(build(1, 1) && build(1 << 20, 1 << 16));
        assert!(
            !build(0, 1) && !build(1, 0) && !build((1 << 20) + 1, 1) && !build(1, (1 << 16) + 1)
        );
    }

    #[test]
    fn debug_prints_no_secret() {
        let builder = OutgoingConfig::exchange(request()).add_destination("https://b.example");
        let printed = format!("{builder:?} {:?}", builder.clone().build());
        assert!(
            printed.contains("orders") && !printed.contains("secret\""),
            "{printed}"
        );
    }
}
