//! Where tokens come from, and what they are asked for.

use bartizan_source::{HttpsFetcher, Roots};

use crate::authorization_server::{ClientAuthentication, Endpoint};
use crate::error::ConfigError;
use crate::outgoing::supply::{Kind, Plan};

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

    pub(super) fn plan(self, kind: Kind) -> Result<Plan, ConfigError> {
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
