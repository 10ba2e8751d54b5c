//! The one `Service` for all guards.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

use crate::body::GuardBody;
use crate::context::SecurityContext;
use crate::duty::settle_with;
use crate::entrance::Entrance;
use crate::future::{Asked, Form, GuardFuture};
use crate::guard::{Check, Guard, Inspection};
use crate::pass::Pass;
use crate::protocol::Protocol;
use crate::rejection::Rejection;

/// A service behind a guard.
///
/// Nothing is asked of request or response bodies: the inner body passes through one arm of
/// [`GuardBody`], the bytes of a refusal through the other. The error stays the inner service's;
/// a refusal is a response.
#[derive(Clone, Debug)]
pub struct Guarded<S, G> {
    inner: S,
    guard: G,
    entrance: Option<Arc<Entrance>>,
    outbound: bool,
}

impl<S, G: Guard> Guarded<S, G> {
    pub(crate) fn new(inner: S, guard: G, entrance: Option<Arc<Entrance>>, outbound: bool) -> Self {
        Self {
            inner,
            guard,
            entrance,
            outbound,
        }
    }

    /// The service behind the guard.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, G, ReqBody, ResBody> Service<Request<ReqBody>> for Guarded<S, G>
where
    G: Guard,
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<GuardBody<ResBody, G::Pass>>;
    type Error = S::Error;
    type Future = GuardFuture<S, G, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> GuardFuture<S, G, ReqBody> {
        let (mut parts, body) = request.into_parts();
        let form = Form::of(&parts);
        let (context, entered) = self.enter(&mut parts, form.protocol);
        if let Err(rejection) = entered {
            self.release_permit();
            return GuardFuture::refused(rejection, None, form);
        }
        let mut inspection = Inspection {
            parts: &mut parts,
            context: &context,
            protocol: form.protocol,
            note: None,
        };
        match self.guard.check(&mut inspection) {
            Check::Now(verdict) => {
                let note = inspection.note.take();
                let known = (context, form.protocol, note);
                match settle_with(self.guard.duty(), &mut parts, known, verdict) {
                    Ok(mut pass) => match pass.take_refusal() {
                        None => {
                            let request = Request::from_parts(parts, body);
                            GuardFuture::calling(self.inner.call(request), pass, form)
                        }
                        Some(rejection) => {
                            self.release_permit();
                            GuardFuture::refused(rejection, Some(pass), form)
                        }
                    },
                    Err(rejection) => {
                        self.release_permit();
                        GuardFuture::refused(rejection, None, form)
                    }
                }
            }
            Check::Later(inquiry) => {
                let note = inspection.note.take();
                // Nothing that `poll_ready` reserved is held while the guard waits: whoever can
                // make it wait could otherwise use up what the service has for everybody. The
                // future gets the service ready again once the request has passed.
                let service = self.inner.clone();
                self.release_permit();
                let guard = self.guard.clone();
                let request = (parts, body);
                let asked = Asked {
                    guard,
                    service,
                    request,
                    context,
                    note,
                };
                GuardFuture::asking(inquiry, asked, form)
            }
        }
    }
}

impl<S, G> Guarded<S, G> {
    /// The request's context: the one that it has, or a new one.
    fn enter(
        &self,
        parts: &mut Parts,
        protocol: Protocol,
    ) -> (SecurityContext, Result<(), Rejection>) {
        if self.outbound {
            return (SecurityContext::new(parts.uri.clone()), Ok(()));
        }
        let entrance = self.entrance.as_deref();
        match SecurityContext::of(&parts.extensions).cloned() {
            Some(context) => {
                let entered = entrance.map_or(Ok(()), |it| it.resolve(&context, parts, protocol));
                (context, entered)
            }
            None => Entrance::open(entrance, parts, protocol),
        }
    }
}

impl<S: Clone, G> Guarded<S, G> {
    /// Gives back what `poll_ready` reserved in the inner service, which will not be called.
    fn release_permit(&mut self) {
        let fresh = self.inner.clone();
        drop(mem::replace(&mut self.inner, fresh));
    }
}
