//! Whoever a request acts for.

mod texts;

use std::fmt;
use std::sync::Arc;

use self::texts::{Span, Spans};
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
#[derive(Clone)]
pub struct Principal(Arc<Facts>);

struct Facts {
    scheme: Scheme,
    expires: Option<WallTime>,
    texts: String,
    issuer: Span,
    subject: Span,
    client: Option<Span>,
    token_id: Option<Span>,
    scopes: Spans,
    roles: Spans,
}

/// Room for client, token id, scopes and roles of an ordinary token, so that its texts are
/// allocated once.
const SPARE: usize = 256;

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
        let mut texts = String::with_capacity(issuer.len() + subject.len() + SPARE);
        PrincipalBuilder(Facts {
            scheme,
            expires: None,
            issuer: Span::append(&mut texts, issuer),
            subject: Span::append(&mut texts, subject),
            client: None,
            token_id: None,
            scopes: Spans::default(),
            roles: Spans::default(),
            texts,
        })
    }

    /// How the principal was proven.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// Who vouches for the subject.
    pub fn issuer(&self) -> &str {
        self.0.issuer.of(&self.0.texts)
    }

    /// The subject, unique within its issuer.
    pub fn subject(&self) -> &str {
        self.0.subject.of(&self.0.texts)
    }

    /// The OAuth client that holds the credential, if it is known.
    pub fn client(&self) -> Option<&str> {
        Some(self.0.client?.of(&self.0.texts))
    }

    /// The scopes that were granted, in the order they were stated.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.of(&self.0.texts)
    }

    /// The roles that were stated, in order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.roles.of(&self.0.texts)
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
        Some(self.0.token_id?.of(&self.0.texts))
    }

    /// When the credential stops being valid, if it says.
    pub fn expires(&self) -> Option<WallTime> {
        self.0.expires
    }
}

impl Eq for Principal {}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.scheme() == other.scheme()
                && self.issuer() == other.issuer()
                && self.subject() == other.subject()
                && self.client() == other.client()
                && self.token_id() == other.token_id()
                && self.expires() == other.expires()
                && self.scopes().eq(other.scopes())
                && self.roles().eq(other.roles())
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("scheme", &self.scheme())
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("client", &self.client())
            .field("scopes", &self.scopes().collect::<Vec<_>>())
            .field("roles", &self.roles().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Describes a principal; made by [`Principal::builder`].
#[must_use = "call assert_verified to get the principal"]
pub struct PrincipalBuilder(Facts);

impl PrincipalBuilder {
    /// Sets the OAuth client.
    pub fn with_client(mut self, client: &str) -> Self {
        self.0.client = Some(Span::append(&mut self.0.texts, client));
        self
    }

    /// Sets the granted scopes.
    pub fn with_scopes<'a>(mut self, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.scopes = Spans::append(&mut self.0.texts, scopes);
        self
    }

    /// Sets the stated roles.
    pub fn with_roles<'a>(mut self, roles: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.roles = Spans::append(&mut self.0.texts, roles);
        self
    }

    /// Sets the identifier of the credential.
    pub fn with_token_id(mut self, token_id: &str) -> Self {
        self.0.token_id = Some(Span::append(&mut self.0.texts, token_id));
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
            .field("issuer", &self.0.issuer.of(&self.0.texts))
            .field("subject", &self.0.subject.of(&self.0.texts))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> PrincipalBuilder {
        Principal::builder(Scheme::Jwt, "https://issuer.example", "alice")
    }

    #[test]
    fn states_what_it_was_given() {
        let scopes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let principal = alice()
            .with_client("app")
            .with_scopes(scopes)
            .with_roles(["admin", ""])
            .with_token_id("t-1")
            .with_expires(WallTime::from_unix_seconds(7))
            .assert_verified();
        assert_eq!(principal.issuer(), "https://issuer.example");
        assert_eq!(principal.subject(), "alice");
        assert_eq!(principal.client(), Some("app"));
        assert_eq!(principal.token_id(), Some("t-1"));
        assert_eq!(principal.scopes().collect::<Vec<_>>(), scopes);
        assert_eq!(principal.roles().collect::<Vec<_>>(), ["admin", ""]);
        assert_eq!(principal.expires(), Some(WallTime::from_unix_seconds(7)));
        assert!(principal.has_scope("j") && !principal.has_scope("k"));
    }

    #[test]
    fn is_equal_by_what_it_states_and_not_by_how_it_was_built() {
        let one = alice()
            .with_client("app")
            .with_scopes(["read"])
            .assert_verified();
        let same = alice()
            .with_scopes(["read"])
            .with_client("app")
            .assert_verified();
        assert_eq!(one, same);
        for other in [
            alice()
                .with_client("app")
                .with_scopes(["readonly"])
                .assert_verified(),
            alice()
                .with_client("app")
                .with_roles(["read"])
                .assert_verified(),
            alice().with_scopes(["read"]).assert_verified(),
            Principal::builder(Scheme::ApiKey, "https://issuer.example", "alice")
                .with_client("app")
                .with_scopes(["read"])
                .assert_verified(),
        ] {
            assert_ne!(one, other);
        }
    }
}
