//! The one `Service` for all guards.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::body::GuardBody;
use crate::context::SecurityContext;
use crate::duty::settle;
use crate::entrance::Entrance;
use crate::future::GuardFuture;
use crate::guard::{Check, Guard, Inspection};
use crate::protocol::Protocol;

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
        let protocol = Protocol::of(&parts.headers);
        let context = match SecurityContext::of(&parts.extensions) {
            Some(context) if !self.outbound => context.clone(),
            _ if self.outbound => SecurityContext::new(parts.uri.clone()),
            _ => {
                let entrance = self.entrance.as_deref();
                let (context, opened) = Entrance::open(entrance, &mut parts, protocol);
                if let Err(rejection) = opened {
                    self.release_permit();
                    return GuardFuture::refused(rejection, protocol);
                }
                context
            }
        };
        let mut inspection = Inspection {
            parts: &mut parts,
            context: &context,
            protocol,
            note: None,
        };
        match self.guard.check(&mut inspection) {
            Check::Now(verdict) => match settle(self.guard.duty(), &mut inspection, verdict) {
                Ok(pass) => {
                    let request = Request::from_parts(parts, body);
                    GuardFuture::calling(self.inner.call(request), pass, protocol)
                }
                Err(rejection) => {
                    self.release_permit();
                    GuardFuture::refused(rejection, protocol)
                }
            },
            Check::Later(inquiry) => {
                // The instance that was polled ready must be the one that is called: a clone
                // may hold no permit.
                let fresh = self.inner.clone();
                let ready = mem::replace(&mut self.inner, fresh);
                GuardFuture::asking(
                    inquiry,
                    self.guard.clone(),
                    ready,
                    (parts, body),
                    context,
                    protocol,
                )
            }
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
