//! The services.

mod held;
mod tap;
mod watch;
mod witness;

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bartizan_core::{Entrance, Protocol, SecurityContext};
use http::{Request, Response};
use tower_service::Service;

use crate::body::AuditBody;
use crate::config::Settings;
use crate::future::AuditFuture;

pub(crate) use self::held::Held;
pub use self::tap::{AuditTap, AuditTapFuture};
pub(crate) use self::tap::{Side, Taps};
pub(crate) use self::watch::{Answer, Watch};
pub use self::witness::{WitnessFuture, WitnessService};

/// A service behind an [`AuditLayer`](crate::AuditLayer).
#[derive(Clone)]
pub struct Audit<S> {
    inner: S,
    settings: Arc<Settings>,
    entrance: Option<Arc<Entrance>>,
}

impl<S> Audit<S> {
    pub(crate) fn new(inner: S, settings: Arc<Settings>, entrance: Option<Arc<Entrance>>) -> Self {
        Self {
            inner,
            settings,
            entrance,
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Audit<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: http_body::Body,
{
    type Response = Response<AuditBody<ResBody>>;
    type Error = S::Error;
    type Future = AuditFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let protocol = Protocol::of_request(&request);
        let (context, opened) = match SecurityContext::of(request.extensions()) {
            Some(context) => (context.clone(), Ok(())),
            None => {
                let (mut parts, body) = request.into_parts();
                let opened = Entrance::open(self.entrance.as_deref(), &mut parts, protocol);
                request = Request::from_parts(parts, body);
                opened
            }
        };
        let watch = Watch::begin(&self.settings, &mut request, context, protocol);
        let watch = Held::new(watch);
        if let Err(rejection) = opened {
            // Gives back what `poll_ready` reserved in the inner service.
            let fresh = self.inner.clone();
            drop(mem::replace(&mut self.inner, fresh));
            return AuditFuture::refused(rejection, watch);
        }
        // Should this panic, the watch is dropped with it, and writes that down.
        AuditFuture::calling(self.inner.call(request), watch)
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Audit<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit")
            .field("inner", &self.inner)
            .field("ledger", &self.settings.ledger)
            .finish_non_exhaustive()
    }
}
