//! Whoever a request acts for.

use std::fmt;
use std::sync::Arc;

use crate::clock::WallTime;
use crate::peer::Peer;

/// Whoever the request acts for, proven by a token or key.
///
/// The identity of a principal is the pair of issuer and subject ([RFC 9068 §5]): a subject alone
/// means nothing outside its issuer. Scopes and roles compare whole: `read` is not `readonly`.
///
/// Cloning is one reference count.
///
/// ```
/// use bartizan_core::{Principal, Scheme};
///
/// let alice = Principal::builder(Scheme::Jwt, "https://issuer.example", "alice")
///     .with_scopes(["orders:read"])
///     .assert_verified();
/// assert!(alice.has_scope("orders:read"));
/// assert!(!alice.has_scope("orders"));
/// ```
///
/// [RFC 9068 §5]: https://www.rfc-editor.org/rfc/rfc9068#section-5
#[derive(Clone, Eq, PartialEq)]
pub struct Principal(Arc<Facts>);

#[derive(Eq, PartialEq)]
struct Facts {
    scheme: Scheme,
    issuer: Box<str>,
    subject: Box<str>,
    client: Option<Box<str>>,
    scopes: Box<[Box<str>]>,
    roles: Box<[Box<str>]>,
    token_id: Option<Box<str>>,
    expires: Option<WallTime>,
}

/// How a principal was proven.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Scheme {
    /// An API key.
    ApiKey,
    /// An opaque token that its issuer vouched for ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).
    Introspection,
    /// A signed JSON Web Token.
    Jwt,
}

impl Scheme {
    /// A short stable name, fit for a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Introspection => "introspection",
            Self::Jwt => "jwt",
        }
    }
}

impl Principal {
    /// Begins the description of a principal that a credential proved.
    pub fn builder(scheme: Scheme, issuer: &str, subject: &str) -> PrincipalBuilder {
        PrincipalBuilder(Facts {
            scheme,
            issuer: issuer.into(),
            subject: subject.into(),
            client: None,
            scopes: Box::default(),
            roles: Box::default(),
            token_id: None,
            expires: None,
        })
    }

    /// How the principal was proven.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// Who vouches for the subject.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The subject, unique within its issuer.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The OAuth client that holds the credential, if it is known.
    pub fn client(&self) -> Option<&str> {
        self.0.client.as_deref()
    }

    /// The scopes that were granted, in the order they were stated.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.iter().map(|scope| &**scope)
    }

    /// The roles that were stated, in order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.roles.iter().map(|role| &**role)
    }

    /// Whether exactly this scope was granted.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// Whether exactly this role was stated.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|held| held == role)
    }

    /// The identifier of the credential, such as a token's `jti`; never the credential itself.
    pub fn token_id(&self) -> Option<&str> {
        self.0.token_id.as_deref()
    }

    /// When the credential stops being valid, if it says.
    pub fn expires(&self) -> Option<WallTime> {
        self.0.expires
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("scheme", &self.0.scheme)
            .field("issuer", &self.0.issuer)
            .field("subject", &self.0.subject)
            .field("client", &self.0.client)
            .field("scopes", &self.0.scopes)
            .field("roles", &self.0.roles)
            .finish_non_exhaustive()
    }
}

/// Describes a principal; made by [`Principal::builder`].
#[must_use = "call assert_verified to get the principal"]
pub struct PrincipalBuilder(Facts);

impl PrincipalBuilder {
    /// Sets the OAuth client.
    pub fn with_client(mut self, client: &str) -> Self {
        self.0.client = Some(client.into());
        self
    }

    /// Sets the granted scopes.
    pub fn with_scopes<'a>(mut self, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.scopes = scopes.into_iter().map(Box::from).collect();
        self
    }

    /// Sets the stated roles.
    pub fn with_roles<'a>(mut self, roles: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.roles = roles.into_iter().map(Box::from).collect();
        self
    }

    /// Sets the identifier of the credential.
    pub fn with_token_id(mut self, token_id: &str) -> Self {
        self.0.token_id = Some(token_id.into());
        self
    }

    /// Sets the end of the credential's validity.
    pub fn with_expires(mut self, expires: WallTime) -> Self {
        self.0.expires = Some(expires);
        self
    }

    /// States that a credential was verified which proves all of this.
    ///
    /// For authenticating layers. Calling it for anything else forges a principal: every layer
    /// believes it without asking again.
    #[must_use]
    pub fn assert_verified(self) -> Principal {
        Principal(Arc::new(self.0))
    }
}

impl fmt::Debug for PrincipalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalBuilder")
            .field("issuer", &self.0.issuer)
            .field("subject", &self.0.subject)
            .finish_non_exhaustive()
    }
}

/// Peer and principal of one request: who is calling, and for whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The workload at the other end of the connection.
    pub peer: Peer,
    /// Whoever the request acts for.
    pub principal: Principal,
}
