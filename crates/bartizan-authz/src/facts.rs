//! What a policy is asked about.

use std::fmt;
use std::net::IpAddr;

use bartizan_core::{Peer, Principal, SecurityContext};

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
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The workload at the other end.
    pub peer: Option<&'r Peer>,
    /// Whoever the request acts for.
    pub principal: Option<&'r Principal>,
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
            address: None,
            peer: None,
            principal: None,
            claims: None,
            context: None,
        }
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
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("address", &self.address)
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
}

impl<F> ReadClaims for F
where
    F: Fn(&SecurityContext, &str, &mut dyn FnMut(&str)) + Send + Sync + 'static,
{
    fn read(&self, context: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)) {
        self(context, name, tell);
    }
}
