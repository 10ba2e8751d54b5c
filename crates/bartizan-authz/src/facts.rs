//! What a policy is asked about.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bartizan_core::{Peer, Principal, SecurityContext};

use crate::condition::Lines;
use crate::engine::EngineError;

/// Why a policy that asks for claims cannot be asked.
pub(crate) const CLAIMS_UNREAD: &str =
    "a rule asks for a claim, and the layer was not told how to read it";

/// What is known of one request when it is decided on.
///
/// The path is the canonical one of the URI as it was received: never what a nested router left.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Facts<'r> {
    /// The request's method, as it was sent.
    pub method: &'r str,
    /// The canonical path.
    pub path: &'r str,
    /// The authority's host without port, if the request names one.
    pub host: Option<&'r str>,
    /// The authority's port, if the request names one.
    pub port: Option<u16>,
    /// The authority as the request names it, with its port if it names one.
    pub authority: Option<&'r str>,
    /// The client's address, behind the proxies that are trusted.
    pub address: Option<IpAddr>,
    /// The far end of the connection, which may be a proxy's; `None` if that is not known.
    pub source: Option<IpAddr>,
    /// What the connection was made to; `None` if that is not known.
    pub destination: Option<SocketAddr>,
    /// The name that the client asked for in the TLS handshake: empty if it asked for none, `None`
    /// if that is not known.
    pub server_name: Option<&'r str>,
    /// The request's headers; `None` if they are not known.
    pub headers: Option<&'r dyn ReadHeaders>,
    /// The workload at the other end.
    pub peer: Option<&'r Peer>,
    /// Whoever the request acts for.
    pub principal: Option<&'r Principal>,
    /// What stands behind the only `/ns/` of the peer's ID, if that was looked for.
    pub(crate) namespace: Option<&'r [u8]>,
    pub(crate) claims: Option<&'r dyn ReadClaims>,
    pub(crate) context: Option<&'r SecurityContext>,
}

impl<'r> Facts<'r> {
    /// A request of nobody, with this method and canonical path.
    pub fn new(method: &'r str, path: &'r str) -> Self {
        Self {
            method,
            path,
            host: None,
            port: None,
            authority: None,
            address: None,
            source: None,
            destination: None,
            server_name: None,
            headers: None,
            peer: None,
            principal: None,
            namespace: None,
            claims: None,
            context: None,
        }
    }

    /// Adds how the claims in this context are read.
    #[must_use]
    pub fn with_claims(mut self, claims: &'r dyn ReadClaims, context: &'r SecurityContext) -> Self {
        self.claims = Some(claims);
        self.context = Some(context);
        self
    }

    /// Looks for the peer's namespace once, for all rules that ask for it.
    pub(crate) fn with_namespace(mut self) -> Self {
        let id = self.peer.and_then(|peer| peer.spiffe_id());
        let behind = id.and_then(|id| id.path().strip_prefix("/ns/"));
        // With another one there is a choice, which is left to the pattern.
        let only = behind.filter(|behind| !behind.contains("/ns/"));
        self.namespace = only.map(str::as_bytes);
        self
    }

    /// Whether a policy can be told what it asks for. It may have come to be in force since the
    /// layer looked for that, and a denial by a claim that nobody reads would deny nobody.
    pub(crate) fn can_tell(&self, claims: bool, nested: bool) -> Result<(), EngineError> {
        let reads_within = || self.claims.is_some_and(|claims| claims.reads_within());
        let lacks = (claims && self.claims.is_none()) || (nested && !reads_within());
        // Facts that somebody put together by hand have no context.
        if lacks && self.context.is_some() {
            return Err(EngineError(CLAIMS_UNREAD.into()));
        }
        Ok(())
    }

    /// Whether the caller's token carries this claim with one of these values.
    pub(crate) fn has_claim(&self, name: &str, values: &[Box<str>]) -> bool {
        let (Some(claims), Some(context)) = (self.claims, self.context) else {
            return false;
        };
        let mut holds = false;
        claims.read(context, name, &mut |value| {
            holds |= values.iter().any(|wanted| **wanted == *value);
        });
        holds
    }

    /// Calls `tell` with each value of this claim.
    #[cfg(feature = "cedar")]
    pub(crate) fn visit_claim(&self, name: &str, tell: &mut dyn FnMut(&str)) {
        if let (Some(claims), Some(context)) = (self.claims, self.context) {
            claims.read(context, name, tell);
        }
    }

    /// Whether the claim that these names lead to has a value of which this is true.
    pub(crate) fn has_claim_like(&self, path: &[String], is: impl Fn(&str) -> bool) -> bool {
        let (Some(claims), Some(context)) = (self.claims, self.context) else {
            return false;
        };
        let mut holds = false;
        let mut tell = |value: &str| holds |= is(value);
        match path {
            [name] => claims.read(context, name, &mut tell),
            path => claims.read_within(context, path, &mut tell),
        }
        holds
    }

    /// Whether the lines of this header are such a value; `is_exactly` says the same without
    /// wildcards. `None` if headers are not known.
    pub(crate) fn has_header(
        &self,
        name: &str,
        lines: Lines,
        is: impl Fn(&[u8]) -> bool,
        is_exactly: impl Fn(&[u8]) -> bool,
    ) -> Option<bool> {
        let (mut count, mut any, mut each) = (0_usize, false, true);
        self.headers?.read(name, &mut |value| {
            let this = is(value);
            count += 1;
            any |= this;
            each &= this;
        });
        if count < 2 || (lines == Lines::Any && any) {
            return Some(any);
        }
        // Nobody sends such a header often enough for the copy to matter.
        let mut whole = Vec::new();
        self.headers?.read(name, &mut |value| {
            if !whole.is_empty() {
                whole.push(b',');
            }
            whole.extend_from_slice(value);
        });
        Some(match lines {
            // A wildcard matches what another line begins or ends with than the one that is read.
            Lines::Each if !each => is_exactly(&whole),
            Lines::Any | Lines::Each | Lines::Together => is(&whole),
        })
    }
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("authority", &self.authority)
            .field("address", &self.address)
            .field("source", &self.source)
            .field("destination", &self.destination)
            .field("server_name", &self.server_name)
            .field("peer", &self.peer)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// Says what a verified token claims, for rules with [`claim`](crate::Callers::claim).
///
/// Which type the claims in a context have is a matter of the layer that verified them; the
/// family's crates for tokens and for rules do not know each other. A closure of the same
/// arguments is one:
///
/// ```
/// use bartizan_core::SecurityContext;
///
/// struct Claims { tenant: String }
///
/// let read = |context: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)| {
///     if let (Some(claims), "tenant") = (context.claims::<Claims>(), name) {
///         tell(&claims.tenant);
///     }
/// };
/// # fn takes(_: impl bartizan_authz::ReadClaims) {}
/// # takes(read);
/// ```
pub trait ReadClaims: Send + Sync + 'static {
    /// Calls `tell` with each value of the claim that is a text; not at all if there is none.
    fn read(&self, context: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str));

    /// The same for a claim inside of others, such as `realm_access` and `roles`. Unless it is
    /// implemented there are none.
    fn read_within(&self, context: &SecurityContext, path: &[String], tell: &mut dyn FnMut(&str)) {
        let _ = (context, path, tell);
    }

    /// Whether it reads claims inside of others: a layer whose rules ask for some cannot be built
    /// otherwise.
    fn reads_within(&self) -> bool {
        false
    }
}

impl<F> ReadClaims for F
where
    F: Fn(&SecurityContext, &str, &mut dyn FnMut(&str)) + Send + Sync + 'static,
{
    fn read(&self, context: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)) {
        self(context, name, tell);
    }
}

/// Gives the headers of a request.
pub trait ReadHeaders {
    /// Calls `tell` with the value of each line of this name, whatever its case.
    fn read(&self, name: &str, tell: &mut dyn FnMut(&[u8]));
}
