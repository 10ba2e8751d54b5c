//! What requests are counted by.

#[cfg(any(feature = "envoy", feature = "redis"))]
mod facts;
mod later;

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use bartizan_core::{Inspection, IpNetwork, PeerIdentity, Protocol, Scheme};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

#[cfg(any(feature = "envoy", feature = "redis"))]
pub(crate) use self::facts::KeyFacts;
pub(crate) use self::later::{Answers, Questions};
use crate::error::ConfigError;
use crate::key::later::Asking;

/// Headers that carry credentials under names of their own.
const CREDENTIALS: [&str; 8] = [
    "api-key",
    "dpop",
    "x-access-token",
    "x-api-key",
    "x-apikey",
    "x-auth-token",
    "x-forwarded-client-cert",
    "x-token",
];

/// What requests are counted by.
///
/// A key is made of facts that are proven by the time the layer is asked: put a limit by
/// principal behind the layer that verifies tokens. A token or API key that nobody has verified
/// is no fact, since whoever sends it can make up a fresh one for each request.
///
/// A request that lacks the fact has no key; the layer refuses it unless told otherwise
/// ([`MissingKey`](crate::MissingKey)).
///
/// | key | is missing if |
/// |---|---|
/// | [`address`](Self::address) | no listener told the far end, and no trusted proxy did |
/// | [`peer`](Self::peer), [`trust_domain`](Self::trust_domain) | the connection proves no peer (no SPIFFE ID) |
/// | [`subject`](Self::subject), [`client`](Self::client), [`issuer`](Self::issuer) | no layer further out verified a credential (that names a client) |
/// | [`api_key`](Self::api_key) | no layer further out verified an API key |
/// | [`template`](Self::template) | the outermost layer has no route table, or no route matches |
/// | [`grpc_method`](Self::grpc_method) | the request is not gRPC |
/// | [`header`](Self::header) | there is no such header |
/// | [`custom`](Self::custom), [`custom_async`](Self::custom_async) | the closure says so |
/// | [`all`](Self::all) | one of its parts is missing |
///
/// Keys are hashed under a secret as they are read; none is stored or copied.
#[derive(Clone)]
pub struct Key(Part);

#[derive(Clone)]
enum Part {
    Address { v4: u8, v6: u8 },
    All(Arc<[Key]>),
    ApiKey,
    Asked(Arc<Ask>),
    Client,
    Custom(Arc<Custom>),
    Everybody,
    GrpcMethod,
    Header(HeaderName),
    Issuer,
    Peer,
    Subject,
    Template,
    TrustDomain,
}

type Ask = dyn Fn(&Inspection<'_>) -> Asking + Send + Sync;
type Custom = dyn Fn(&Inspection<'_>, &mut KeyWriter<'_>) -> Option<()> + Send + Sync;

/// Takes the parts of a key, in order. Each is told apart from its neighbours: `ab`, `c` and `a`,
/// `bc` are two keys.
pub struct KeyWriter<'h>(&'h mut dyn Hasher);

impl KeyWriter<'_> {
    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.write_usize(bytes.len());
        self.0.write(bytes);
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.write_u64(number);
    }
}

impl Key {
    /// The client's address as the context knows it: the far end of the connection, or what
    /// trusted proxies tell of it. IPv4 counts by address, IPv6 by /64, which is what one
    /// subscriber has; IPv4 in IPv6 counts as IPv4.
    pub fn address() -> Self {
        Self::network(32, 64)
    }

    /// The network of the client's address: so many leading bits of IPv4 and IPv6.
    pub fn network(v4: u8, v6: u8) -> Self {
        Self(Part::Address { v4, v6 })
    }

    /// The peer: its SPIFFE ID or DNS name.
    pub fn peer() -> Self {
        Self(Part::Peer)
    }

    /// The trust domain of the peer's SPIFFE ID.
    pub fn trust_domain() -> Self {
        Self(Part::TrustDomain)
    }

    /// The principal: issuer and subject together.
    pub fn subject() -> Self {
        Self(Part::Subject)
    }

    /// The OAuth client of the principal: issuer and client together.
    pub fn client() -> Self {
        Self(Part::Client)
    }

    /// The issuer of the principal: what all its subjects share.
    pub fn issuer() -> Self {
        Self(Part::Issuer)
    }

    /// The API key that a layer further out has verified: its identifier, or else its subject, and
    /// who issued it. Never the key itself, and nothing for principals of other schemes.
    pub fn api_key() -> Self {
        Self(Part::ApiKey)
    }

    /// The route template, such as `/orders/{id}`. Paths themselves are no keys: a client can
    /// make up as many as it likes.
    pub fn template() -> Self {
        Self(Part::Template)
    }

    /// The gRPC method. A client can make up methods that do not exist; each is limited by
    /// itself, and none reaches a handler.
    pub fn grpc_method() -> Self {
        Self(Part::GrpcMethod)
    }

    /// The values of a header. Only for what a trusted proxy sets: whoever can send a header of
    /// his own can choose his key.
    ///
    /// # Errors
    ///
    /// [`ConfigError::CredentialHeader`] for a header that carries credentials.
    pub fn header(name: HeaderName) -> Result<Self, ConfigError> {
        let is_credential = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(&name)
            || CREDENTIALS.contains(&name.as_str());
        match is_credential {
            true => Err(ConfigError::CredentialHeader(name.as_str().to_owned())),
            false => Ok(Self(Part::Header(name))),
        }
    }

    /// All of these together, such as the principal and the route template.
    pub fn all(keys: impl IntoIterator<Item = Self>) -> Self {
        Self(Part::All(keys.into_iter().collect()))
    }

    /// One key for all requests.
    pub fn everybody() -> Self {
        Self(Part::Everybody)
    }

    /// Whatever the closure writes; it gives `None` for a request without a key. It must write
    /// verified facts only: those of [`Inspection::context`].
    ///
    /// ```
    /// use bartizan_ratelimit::Key;
    ///
    /// // A claim that the token layer has verified.
    /// struct Tenant(String);
    /// let tenant = Key::custom(|inspection, key| {
    ///     let tenant = inspection.context.claims::<Tenant>()?;
    ///     key.text(&tenant.0);
    ///     Some(())
    /// });
    /// # let _ = tenant;
    /// ```
    pub fn custom<F>(write: F) -> Self
    where
        F: Fn(&Inspection<'_>, &mut KeyWriter<'_>) -> Option<()> + Send + Sync + 'static,
    {
        Self(Part::Custom(Arc::new(write)))
    }

    /// Whatever the closure's future gives; `None` for a request without a key. For what has to
    /// be looked up, such as the plan of a tenant in a store: the request waits for it, so bound
    /// how long that may take, and cache it.
    ///
    /// The closure takes what it needs from the inspection, verified facts only, and the future
    /// owns it.
    ///
    /// ```
    /// use bartizan_ratelimit::Key;
    ///
    /// # async fn tenant_of(subject: &str) -> Option<String> { Some(subject.to_owned()) }
    /// let tenant = Key::custom_async(|inspection| {
    ///     let principal = inspection.context.principal().cloned();
    ///     async move { tenant_of(principal?.subject()).await }
    /// });
    /// # let _ = tenant;
    /// ```
    pub fn custom_async<F, A, T>(ask: F) -> Self
    where
        F: Fn(&Inspection<'_>) -> A + Send + Sync + 'static,
        A: Future<Output = Option<T>> + Send + 'static,
        T: Into<Vec<u8>>,
    {
        Self(Part::Asked(Arc::new(move |inspection| {
            let answer = ask(inspection);
            Box::pin(async move { answer.await.map(T::into) })
        })))
    }

    /// What has to be asked for before the key is known; `None` if nothing has to.
    pub(crate) fn questions(&self, inspection: &Inspection<'_>) -> Option<Questions> {
        if !self.has_questions() {
            return None;
        }
        let mut questions = Questions::new();
        self.ask(inspection, &mut questions);
        Some(questions)
    }

    fn has_questions(&self) -> bool {
        match &self.0 {
            Part::All(keys) => keys.iter().any(Self::has_questions),
            part => matches!(part, Part::Asked(_)),
        }
    }

    fn ask(&self, inspection: &Inspection<'_>, questions: &mut Questions) {
        match &self.0 {
            Part::All(keys) => keys.iter().for_each(|key| key.ask(inspection, questions)),
            Part::Asked(ask) => questions.add(ask(inspection)),
            _ => {}
        }
    }

    /// The hash of a request's key under a secret, given what was asked for.
    pub(crate) fn hash<S: BuildHasher>(
        &self,
        inspection: &Inspection<'_>,
        secret: &S,
        mut answers: Answers,
    ) -> Option<u64> {
        let mut hasher = secret.build_hasher();
        self.write(inspection, &mut KeyWriter(&mut hasher), &mut answers)?;
        Some(hasher.finish())
    }

    fn write(
        &self,
        inspection: &Inspection<'_>,
        key: &mut KeyWriter<'_>,
        answers: &mut Answers,
    ) -> Option<()> {
        let context = inspection.context;
        match &self.0 {
            Part::Address { v4, v6 } => write_address(context.address()?, *v4, *v6, key),
            Part::All(keys) => {
                for part in keys.iter() {
                    part.write(inspection, key, answers)?;
                }
            }
            Part::ApiKey => {
                let principal = context.principal()?;
                if principal.scheme() != Scheme::ApiKey {
                    return None;
                }
                key.text(principal.issuer());
                key.text(principal.token_id().unwrap_or(principal.subject()));
            }
            Part::Asked(_) => key.bytes(&answers.next()?),
            Part::Client => {
                let principal = context.principal()?;
                key.text(principal.issuer());
                key.text(principal.client()?);
            }
            Part::Custom(write) => write(inspection, key)?,
            Part::Everybody => key.number(0),
            Part::GrpcMethod => match inspection.protocol {
                Protocol::Http => return None,
                _ => key.text(context.path().ok()?),
            },
            Part::Header(name) => {
                let values = inspection.parts.headers.get_all(name);
                values.iter().next()?;
                key.number(values.iter().count() as u64);
                for value in values {
                    key.bytes(value.as_bytes());
                }
            }
            Part::Issuer => key.text(context.principal()?.issuer()),
            Part::Peer => match context.peer()?.identity() {
                PeerIdentity::Spiffe(id) => {
                    key.number(0);
                    key.text(id.as_str());
                }
                PeerIdentity::Dns(names) => {
                    key.number(1);
                    names.iter().for_each(|name| key.text(name));
                }
                _ => return None,
            },
            Part::Subject => {
                let principal = context.principal()?;
                key.text(principal.issuer());
                key.text(principal.subject());
            }
            Part::Template => key.text(context.template()?),
            Part::TrustDomain => match context.peer()?.identity() {
                PeerIdentity::Spiffe(id) => key.text(id.trust_domain()),
                _ => return None,
            },
        }
        Some(())
    }
}

fn write_address(address: IpAddr, v4: u8, v6: u8, key: &mut KeyWriter<'_>) {
    match IpNetwork::of_client(address, v4, v6).base() {
        IpAddr::V4(base) => key.number(u64::from(u32::from(base))),
        IpAddr::V6(base) => {
            // Two numbers are never one.
            key.number(u64::MAX);
            let bits = u128::from(base);
            key.number((bits >> 64) as u64);
            key.number(bits as u64);
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Part::Address { v4, v6 } => write!(f, "address (/{v4}, /{v6})"),
            Part::All(keys) => f.debug_list().entries(keys.iter()).finish(),
            Part::ApiKey => f.write_str("API key"),
            Part::Asked(_) => f.write_str("custom, asked for"),
            Part::Client => f.write_str("client"),
            Part::Custom(_) => f.write_str("custom"),
            Part::Everybody => f.write_str("everybody"),
            Part::GrpcMethod => f.write_str("gRPC method"),
            Part::Header(name) => write!(f, "header {name}"),
            Part::Issuer => f.write_str("issuer"),
            Part::Peer => f.write_str("peer"),
            Part::Subject => f.write_str("subject"),
            Part::Template => f.write_str("route template"),
            Part::TrustDomain => f.write_str("trust domain"),
        }
    }
}

impl fmt::Debug for KeyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyWriter")
    }
}
