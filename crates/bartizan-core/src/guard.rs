//! The seam that every layer without a hand on the body is made of.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{request, response};

use crate::context::SecurityContext;
use crate::duty::Duty;
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
#[derive(Debug)]
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
        let protocol = Protocol::of(&parts.headers);
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

/// What a guard still owes after it let a request pass.
///
/// It is dropped when the response body has ended, failed or been abandoned, and when the request
/// was cancelled before: a permit needs no more than that.
pub trait Pass: Send + Unpin + 'static {
    /// Called once with the head of the inner service's response: to add headers, or to take
    /// the outcome into account.
    fn respond(&mut self, response: &mut response::Parts) {
        let _ = response;
    }

    /// Asks whether what the request rests on has ended: a token that expired, a certificate
    /// that was revoked. `Ready` ends the response, also in the middle of its body.
    ///
    /// Called when the inner service or body has nothing to give, and now and then while it has
    /// plenty; the waker must be registered as for a future. A short response is never asked.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let _ = cx;
        Poll::Pending
    }
}

impl Pass for () {}

impl<P: Pass> Pass for Option<P> {
    fn respond(&mut self, response: &mut response::Parts) {
        if let Some(pass) = self {
            pass.respond(response);
        }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        match self {
            Some(pass) => pass.poll_cut(cx),
            None => Poll::Pending,
        }
    }
}

impl<A: Pass, B: Pass> Pass for (A, B) {
    // The inner guard first, as if each had a service of its own.
    fn respond(&mut self, response: &mut response::Parts) {
        self.1.respond(response);
        self.0.respond(response);
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        match self.0.poll_cut(cx) {
            Poll::Pending => self.1.poll_cut(cx),
            cut => cut,
        }
    }
}
