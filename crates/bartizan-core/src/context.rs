//! The one slot in which the layers of a request meet.

mod decisions;

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use http::{Extensions, Uri};

use self::decisions::Decisions;
use crate::code::Code;
use crate::decision::Decision;
use crate::forwarded::Forwarded;
use crate::peer::Peer;
use crate::principal::{Caller, Principal};
use crate::rejection::{Rejection, RejectionKind};
use crate::route::{CanonicalPath, PathError, RouteTable};

/// What the layers of one request know and have decided.
///
/// One `Arc` slot in the request's extensions. The outermost layer creates it; layers further in
/// write into it; layers further out read it, also after the inner future was dropped. Request
/// extensions travel inward only and response extensions are lost when a client disconnects; a
/// shared slot survives both.
///
/// Each fact is written once. Writing the same again is harmless; writing another value is a
/// [`ContextConflict`], because two layers that disagree about who is calling is a fault of the
/// service's set-up that must not be decided by order. Decisions are only ever appended.
///
/// Clones share the slot. A request that a service makes of its own starts with
/// [`fork`](Self::fork); a layer for outgoing requests never writes here.
#[derive(Clone)]
pub struct SecurityContext(Arc<Slot>);

struct Slot {
    uri: Uri,
    // What the connection tells is there from the beginning, and costs no lock.
    connected: Option<Peer>,
    address: Option<IpAddr>,
    peer: OnceLock<Peer>,
    forwarded: OnceLock<Forwarded>,
    authenticated: OnceLock<Arc<dyn Authenticated>>,
    principal: OnceLock<Principal>,
    claims: OnceLock<Arc<dyn Any + Send + Sync>>,
    // `Some` holds a spelling that differs from the URI's own.
    path: OnceLock<Result<Option<Box<str>>, PathError>>,
    template: OnceLock<Option<Arc<str>>>,
    decisions: Decisions,
}

impl SecurityContext {
    /// A context for a request to `uri` of which nothing else is known.
    pub fn new(uri: Uri) -> Self {
        Self::of_connection(uri, None, None)
    }

    /// A context for a request to `uri` over a connection of which this much is known.
    pub(crate) fn of_connection(uri: Uri, peer: Option<&Peer>, address: Option<IpAddr>) -> Self {
        Self(Arc::new(Slot {
            uri,
            connected: peer.cloned(),
            address,
            peer: OnceLock::new(),
            forwarded: OnceLock::new(),
            authenticated: OnceLock::new(),
            principal: OnceLock::new(),
            claims: OnceLock::new(),
            path: OnceLock::new(),
            template: OnceLock::new(),
            decisions: Decisions::default(),
        }))
    }

    /// The context in a request's extensions, if a layer has created one.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Begins a request within this one, to `uri`: it keeps what the connection proved (peer,
    /// forwarded identity, address) and shares nothing else. Principal, claims, route and
    /// decisions are its own, so that its layers authenticate and decide anew.
    #[must_use]
    pub fn fork(&self, uri: Uri) -> Self {
        let context = Self::of_connection(uri, self.peer(), self.address());
        if let Some(forwarded) = self.forwarded() {
            let _ = context.0.forwarded.set(forwarded.clone());
        }
        context
    }

    /// A context for whoever only watches this request: what it writes stays there.
    pub(crate) fn aside(&self) -> Self {
        let aside = self.fork(self.uri().clone());
        if let Some(template) = self.0.template.get() {
            let _ = aside.0.template.set(template.clone());
        }
        aside
    }

    /// Records the peer.
    ///
    /// # Errors
    ///
    /// If another peer is recorded already.
    pub fn set_peer(&self, peer: Peer) -> Result<(), ContextConflict> {
        match &self.0.connected {
            None => set_once(&self.0.peer, peer, "peer"),
            Some(connected) if *connected == peer => Ok(()),
            Some(_) => Err(ContextConflict { field: "peer" }),
        }
    }

    /// Records what a trusted proxy asserts.
    ///
    /// # Errors
    ///
    /// If something else is recorded already.
    pub fn set_forwarded(&self, forwarded: Forwarded) -> Result<(), ContextConflict> {
        set_once(&self.0.forwarded, forwarded, "forwarded")
    }

    /// Records the principal.
    ///
    /// # Errors
    ///
    /// If another principal is recorded already.
    pub fn set_principal(&self, principal: Principal) -> Result<(), ContextConflict> {
        match self.0.authenticated.get() {
            None => set_once(&self.0.principal, principal, "principal"),
            Some(authenticated) if *authenticated.principal() == principal => Ok(()),
            Some(_) => Err(ContextConflict { field: "principal" }),
        }
    }

    /// Records the verified claims behind the principal, of the type that the authenticating
    /// layer documents.
    ///
    /// # Errors
    ///
    /// If other claims are recorded already.
    pub fn set_claims<T: Any + Send + Sync>(&self, claims: Arc<T>) -> Result<(), ContextConflict> {
        let claims: Arc<dyn Any + Send + Sync> = claims;
        let claims = match self.0.authenticated.get() {
            Some(_) => claims,
            None => match self.0.claims.set(Arc::clone(&claims)) {
                Ok(()) => return Ok(()),
                Err(_) => claims,
            },
        };
        match self.any_claims() {
            Some(held) if Arc::ptr_eq(&held, &claims) => Ok(()),
            _ => Err(ContextConflict { field: "claims" }),
        }
    }

    /// Records a principal and the claims behind it: both, or neither.
    ///
    /// # Errors
    ///
    /// If another principal or other claims are recorded already.
    pub fn set_authenticated<T: Any + Send + Sync>(
        &self,
        principal: Principal,
        claims: Arc<T>,
    ) -> Result<(), ContextConflict> {
        if self.principal().is_some_and(|held| *held != principal) {
            return Err(ContextConflict { field: "principal" });
        }
        self.set_claims(claims)?;
        self.set_principal(principal)
    }

    /// Records what names a principal, as that principal and as the claims behind it: both, or
    /// neither. One write and one reference count, for hot paths.
    ///
    /// # Errors
    ///
    /// If another principal or other claims are recorded already.
    pub fn set_verified<T: Authenticated>(&self, verified: Arc<T>) -> Result<(), ContextConflict> {
        let is_other = |held: &Principal| held != verified.principal();
        if self.principal().is_some_and(is_other) {
            return Err(ContextConflict { field: "principal" });
        }
        let mut verified: Arc<dyn Authenticated> = verified;
        if self.0.authenticated.get().is_none() && self.0.claims.get().is_none() {
            verified = match self.0.authenticated.set(verified) {
                Ok(()) => return Ok(()),
                Err(verified) => verified,
            };
        }
        let verified: Arc<dyn Any + Send + Sync> = verified;
        match self.any_claims() {
            Some(held) if Arc::ptr_eq(&held, &verified) => Ok(()),
            _ => Err(ContextConflict { field: "claims" }),
        }
    }

    /// Appends a decision. Does not allocate for the first eight.
    pub fn record(&self, decision: Decision) {
        self.0.decisions.record(decision);
    }

    /// The workload at the other end of the connection, if it is proven.
    pub fn peer(&self) -> Option<&Peer> {
        self.0.connected.as_ref().or_else(|| self.0.peer.get())
    }

    /// What a trusted proxy asserts about its client.
    pub fn forwarded(&self) -> Option<&Forwarded> {
        self.0.forwarded.get()
    }

    /// Whoever the request acts for, if a layer has authenticated it.
    pub fn principal(&self) -> Option<&Principal> {
        match self.0.authenticated.get() {
            Some(authenticated) => Some(authenticated.principal()),
            None => self.0.principal.get(),
        }
    }

    /// Peer and principal, if both are known.
    pub fn caller(&self) -> Option<Caller> {
        Some(Caller {
            peer: self.peer()?.clone(),
            principal: self.principal()?.clone(),
        })
    }

    /// The verified claims, if a layer has recorded claims of this type.
    pub fn claims<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.any_claims()?.downcast().ok()
    }

    fn any_claims(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        match self.0.authenticated.get() {
            Some(authenticated) => {
                let authenticated: Arc<dyn Authenticated> = Arc::clone(authenticated);
                Some(authenticated)
            }
            None => self.0.claims.get().cloned(),
        }
    }

    /// The client's address: the far end of the connection, or what trusted proxies told of it.
    pub fn address(&self) -> Option<IpAddr> {
        self.0.address
    }

    /// The URI as it was received, before any router changed it.
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// The canonical path of the URI as it was received. Rules match on this and never on
    /// `request.uri()`, from which nested routers cut prefixes.
    ///
    /// # Errors
    ///
    /// [`PathError`] if the path has no one meaning; refuse the request then.
    pub fn path(&self) -> Result<&str, PathError> {
        let uri_path = self.0.uri.path();
        let path = self.0.path.get_or_init(|| {
            CanonicalPath::parse(uri_path).map(|path| path.into_changed().map(String::into))
        });
        match path {
            Ok(Some(changed)) => Ok(changed),
            Ok(None) => Ok(uri_path),
            Err(error) => Err(*error),
        }
    }

    /// The route template, if the outermost layer has a route table and the path matched.
    pub fn template(&self) -> Option<&str> {
        self.0.template.get()?.as_deref()
    }

    /// The decisions so far, in order.
    pub fn decisions(&self) -> Vec<Decision> {
        let mut decisions = Vec::new();
        self.visit_decisions(|decision| decisions.push(decision.clone()));
        decisions
    }

    /// Calls `visit` with each decision so far, in order, without copying them.
    pub fn visit_decisions(&self, visit: impl FnMut(&Decision)) {
        self.0.decisions.visit(visit);
    }

    /// How many decisions did not fit into the context's bound of 64.
    pub fn lost_decisions(&self) -> usize {
        self.0.decisions.lost()
    }

    /// Looks the path up in a route table, once.
    ///
    /// A router compares the path as it was sent; rules are written for its canonical spelling.
    /// Where the two lead to different templates, no rule would be about what is going to run.
    pub(crate) fn resolve(&self, table: &RouteTable) -> Result<(), PathError> {
        if self.0.template.get().is_some() {
            return Ok(());
        }
        let template = table.template_as_sent(self.path()?);
        if template != table.template_as_sent(self.0.uri.path()) {
            return Err(PathError::Spelling);
        }
        let _ = self.0.template.set(template);
        Ok(())
    }
}

impl fmt::Debug for SecurityContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Path and query may hold anything, such as the token of a link; they stay out of logs.
        f.debug_struct("SecurityContext")
            .field("peer", &self.peer())
            .field("forwarded", &self.forwarded())
            .field("principal", &self.principal())
            .field("address", &self.address())
            .field("template", &self.template())
            .field("decisions", &self.decisions())
            .finish_non_exhaustive()
    }
}

/// What an authenticating layer verified, and whom it names: the claims of a token, say.
///
/// [`SecurityContext::set_verified`] takes it as both.
pub trait Authenticated: Any + Send + Sync {
    /// Whoever it stands for.
    fn principal(&self) -> &Principal;
}

/// Two layers wrote different values of one fact: the service's layers contradict each other.
///
/// Rendered as an internal error with the code `context.conflict`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ContextConflict {
    field: &'static str,
}

/// Two layers disagree about a fact of the request.
const CONFLICT: Code = Code::new("context.conflict");

impl ContextConflict {
    /// The fact that was written twice.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for ContextConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "two layers wrote different values of the request's {}",
            self.field
        )
    }
}

impl std::error::Error for ContextConflict {}

impl From<ContextConflict> for Rejection {
    fn from(conflict: ContextConflict) -> Self {
        Self::new(RejectionKind::Internal, CONFLICT).with_cause(conflict)
    }
}

fn set_once<T: PartialEq>(
    cell: &OnceLock<T>,
    value: T,
    field: &'static str,
) -> Result<(), ContextConflict> {
    match cell.set(value) {
        Ok(()) => Ok(()),
        Err(value) if cell.get() == Some(&value) => Ok(()),
        Err(_) => Err(ContextConflict { field }),
    }
}

#[cfg(test)]
mod tests;
