//! The seam through which metrics, detection and audit learn what happens.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::code::Code;
use crate::context::SecurityContext;
use crate::decision::{Decision, Outcome};
use crate::peer::Peer;
use crate::principal::Principal;
use crate::protocol::Protocol;

/// Something that wants to know what happens.
///
/// Called on the request path, once per decision: it must return quickly, must not block and must
/// not panic. What it is given is free of secrets. Use [`observe_fn`] for a closure.
pub trait Observe: fmt::Debug + Send + Sync + 'static {
    /// Takes note of one event.
    fn observe(&self, event: &Event<'_>);
}

impl<O: Observe + ?Sized> Observe for Arc<O> {
    fn observe(&self, event: &Event<'_>) {
        (**self).observe(event);
    }
}

/// Makes an observer of a closure.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::Arc;
/// use bartizan_core::{Event, Outcome, observe_fn};
///
/// let denied = Arc::new(AtomicU64::new(0));
/// let counter = Arc::clone(&denied);
/// let observer = observe_fn(move |event| {
///     if let Event::Decision(decision) = event
///         && decision.outcome() == Outcome::Denied
///     {
///         counter.fetch_add(1, Ordering::Relaxed);
///     }
/// });
/// # let _ = observer;
/// ```
pub fn observe_fn<F>(observe: F) -> ObserveFn<F>
where
    F: Fn(&Event<'_>) + Send + Sync + 'static,
{
    ObserveFn(observe)
}

/// An observer made of a closure by [`observe_fn`].
#[derive(Clone)]
pub struct ObserveFn<F>(F);

impl<F> fmt::Debug for ObserveFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObserveFn")
    }
}

impl<F> Observe for ObserveFn<F>
where
    F: Fn(&Event<'_>) + Send + Sync + 'static,
{
    fn observe(&self, event: &Event<'_>) {
        (self.0)(event);
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A layer decided about a request.
    Decision(DecisionEvent<'a>),
    /// Something happened outside any request: keys rotated, a handshake failed.
    Lifecycle(LifecycleEvent<'a>),
}

/// A decision, with the request it is about.
#[derive(Clone, Copy, Debug)]
pub struct DecisionEvent<'a> {
    decision: &'a Decision,
    context: &'a SecurityContext,
    protocol: Protocol,
}

impl<'a> DecisionEvent<'a> {
    pub(crate) fn new(
        decision: &'a Decision,
        context: &'a SecurityContext,
        protocol: Protocol,
    ) -> Self {
        Self {
            decision,
            context,
            protocol,
        }
    }

    /// The name of the layer that decided, such as `jwt`.
    pub fn layer(&self) -> &'static str {
        self.decision.layer()
    }

    /// What it concluded.
    pub fn outcome(&self) -> Outcome {
        self.decision.outcome()
    }

    /// Why, if there is a reason to name.
    pub fn code(&self) -> Option<Code> {
        self.decision.code()
    }

    /// The whole decision.
    pub fn decision(&self) -> &'a Decision {
        self.decision
    }

    /// The protocol of the request.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The client's address, if it is known.
    pub fn address(&self) -> Option<IpAddr> {
        self.context.address()
    }

    /// The peer, if it is proven by now.
    pub fn peer(&self) -> Option<&'a Peer> {
        self.context.peer()
    }

    /// The principal, if it is proven by now.
    pub fn principal(&self) -> Option<&'a Principal> {
        self.context.principal()
    }

    /// The route template, if a route table gave one: bounded, unlike the path.
    pub fn template(&self) -> Option<&'a str> {
        self.context.template()
    }
}

/// Something that happened outside any request.
#[derive(Clone, Copy)]
pub struct LifecycleEvent<'a> {
    layer: &'static str,
    kind: LifecycleKind,
    code: Code,
    address: Option<IpAddr>,
    subject: Option<&'a str>,
    detail: Option<&'a (dyn fmt::Display + Sync)>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LifecycleKind {
    /// A connection ended because what it rested on expired, was revoked or grew old.
    ConnectionEnded,
    /// A connection was let in: its TLS handshake completed, or its listener takes plaintext and
    /// the code says so.
    HandshakeCompleted,
    /// A TLS handshake did not complete.
    HandshakeFailed,
    /// A key was created, rotated, disabled or destroyed.
    KeyChanged,
    /// A key that is in force was seen where no secret may be.
    KeyLeaked,
    /// A policy was loaded or replaced.
    PolicyChanged,
    /// A source could not publish; what it published before stays in force.
    SourceFailed,
    /// A source published a new version.
    SourceRefreshed,
    /// A component began to work.
    Started,
    /// A component ended its work.
    Stopped,
    /// What is held of a subject was made unreadable.
    SubjectForgotten,
}

impl<'a> LifecycleEvent<'a> {
    /// An event of the component with this name, such as `mtls`.
    pub fn new(layer: &'static str, kind: LifecycleKind, code: Code) -> Self {
        Self {
            layer,
            kind,
            code,
            address: None,
            subject: None,
            detail: None,
        }
    }

    /// Adds the address of the far end.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Adds what the event is about: a source's name, a key id, an issuer. Bounded by
    /// configuration, never by what a client sends.
    #[must_use]
    pub fn with_subject(mut self, subject: &'a str) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Adds an explanation for people. It is not a label: it may be of any length, and the
    /// consumer escapes it.
    #[must_use]
    pub fn with_detail(mut self, detail: &'a (dyn fmt::Display + Sync)) -> Self {
        self.detail = Some(detail);
        self
    }

    /// The name of the component.
    pub fn layer(&self) -> &'static str {
        self.layer
    }

    /// What kind of thing happened.
    pub fn kind(&self) -> LifecycleKind {
        self.kind
    }

    /// What exactly happened.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The address of the far end, if there is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What the event is about.
    pub fn subject(&self) -> Option<&'a str> {
        self.subject
    }

    /// An explanation for people.
    pub fn detail(&self) -> Option<&'a (dyn fmt::Display + Sync)> {
        self.detail
    }
}

impl fmt::Debug for LifecycleEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifecycleEvent")
            .field("layer", &self.layer)
            .field("kind", &self.kind)
            .field("code", &self.code)
            .field("address", &self.address)
            .field("subject", &self.subject)
            .field("detail", &self.detail.map(|detail| detail.to_string()))
            .finish()
    }
}
