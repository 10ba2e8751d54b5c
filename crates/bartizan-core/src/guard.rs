//! The seam that every layer without a hand on the body is made of.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request;

use crate::context::SecurityContext;
use crate::duty::Duty;
use crate::pass::Pass;
use crate::protocol::Protocol;
use crate::rejection::Rejection;

/// Something that looks at a request and lets it pass or refuses it.
///
/// A guard decides; [`Guarded`](crate::Guarded) does the rest, once for the whole family: it
/// records the decision in the [`SecurityContext`], tells observers, applies shadow mode, renders
/// refusals and holds what the guard still owes until the response has ended. [`Chain`] joins two
/// guards into one, so that a stack of six is still one service, one future and one body.
///
/// Cloning a guard must be cheap: its state stands behind an `Arc`.
///
/// In shadow mode a refusal is recorded and the request passes. A guard therefore writes facts
/// (a peer, a principal) into the context only once it knows that the request passes.
///
/// ```
/// use bartizan_core::{
///     Check, Code, Duty, Guard, GuardLayer, Inspection, Never, Rejection, RejectionKind,
/// };
///
/// /// Refuses everything but reading.
/// #[derive(Clone, Debug)]
/// struct ReadOnly(Duty);
///
/// const WRITE: Code = Code::new("example.write");
///
/// impl Guard for ReadOnly {
///     type Pass = ();
///     type Inquiry = Never;
///
///     fn duty(&self) -> Option<&Duty> {
///         Some(&self.0)
///     }
///
///     fn check(&self, inspection: &mut Inspection<'_>) -> Check<(), Never> {
///         Check::Now(match inspection.parts.method {
///             http::Method::GET | http::Method::HEAD => Ok(()),
///             _ => Err(Rejection::new(RejectionKind::Forbidden, WRITE)),
///         })
///     }
/// }
///
/// let layer = GuardLayer::new(ReadOnly(Duty::new("read_only")));
/// # let _ = layer;
/// ```
///
/// [`Chain`]: crate::Chain
pub trait Guard: Clone + Send + Sync + 'static {
    /// What the guard still owes after it let a request pass; `()` for nothing.
    type Pass: Pass;

    /// A check that has to wait; [`Never`] for a guard that always answers at once.
    type Inquiry: Inquiry<Self::Pass>;

    /// Under which name the guard decides, and whether it enforces. `None` only for a guard that
    /// is made of others, which have their own.
    fn duty(&self) -> Option<&Duty>;

    /// Looks at a request.
    fn check(&self, inspection: &mut Inspection<'_>) -> Check<Self::Pass, Self::Inquiry>;
}

/// A guard's answer.
#[derive(Debug)]
pub enum Check<P, I> {
    /// The verdict stands.
    Now(Result<P, Rejection>),
    /// The verdict follows.
    Later(I),
}

/// What a guard sees of a request.
#[non_exhaustive]
pub struct Inspection<'r> {
    /// The head of the request. A guard may change headers, such as removing a credential.
    pub parts: &'r mut request::Parts,
    /// What is known of the request by now.
    pub context: &'r SecurityContext,
    /// The protocol that the request speaks.
    pub protocol: Protocol,
    pub(crate) note: Option<Arc<str>>,
}

impl<'r> Inspection<'r> {
    /// An inspection of this request; for testing a guard by itself.
    pub fn new(parts: &'r mut request::Parts, context: &'r SecurityContext) -> Self {
        let protocol = Protocol::of(parts);
        Self {
            parts,
            context,
            protocol,
            note: None,
        }
    }

    /// Adds to the decision what the guard wants recorded, such as the rule that matched. It must
    /// not hold a secret.
    pub fn note(&mut self, note: Arc<str>) {
        self.note = Some(note);
    }
}

impl fmt::Debug for Inspection<'_> {
    /// Without the request's head, which holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspection")
            .field("method", &self.parts.method)
            .field("context", self.context)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// A check that has to wait.
///
/// Implemented for every future that gives a verdict. Implement it by hand where the verdict
/// changes the request, which is at hand at each poll.
pub trait Inquiry<P>: Send + 'static {
    /// Asks for the verdict, as [`Future::poll`] does.
    fn poll_verdict(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<P, Rejection>>;
}

impl<F, P> Inquiry<P> for F
where
    F: Future<Output = Result<P, Rejection>> + Send + 'static,
{
    fn poll_verdict(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut Inspection<'_>,
    ) -> Poll<Result<P, Rejection>> {
        self.poll(cx)
    }
}

/// The inquiry of a guard that always answers at once. It has no value.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

impl<P> Inquiry<P> for Never {
    fn poll_verdict(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut Inspection<'_>,
    ) -> Poll<Result<P, Rejection>> {
        match *self {}
    }
}
