//! Which tokens outgoing calls carry, and where they may go.

mod request;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bartizan_core::{Clock, Observe, SystemClock};

use super::destination::{Destination, Destinations};
use super::supply::{Kind, Plan, Watch};
use crate::error::ConfigError;

pub use self::request::{TokenEndpoint, TokenEndpointBuilder, TokenRequest};

/// How many exchanged tokens are kept. With ordinary tokens that is 10 MiB when it is full.
const DEFAULT_CACHED_TOKENS: usize = 4096;

/// How many tokens are asked for at a time. A server that answers in a tenth of a second gives
/// 640 tokens a second then.
const DEFAULT_CONCURRENT_REQUESTS: usize = 64;

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
mod tests;
