//! What a configuration answers itself, in place of the service: calls of a witness, and metrics.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bartizan_audit::{Witness, WitnessService};
use bartizan_core::{Inspection, SecurityContext};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::config::optional::OptionalBody;
use crate::config::scrape::Scrape;

type BoxError = Box<dyn Error + Send + Sync>;

/// What is answered here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    witness: Option<(Box<str>, Witness)>,
    scrape: Option<Scrape>,
}

/// Which of it.
#[derive(Debug)]
enum Asked<'o> {
    Scrape(&'o Scrape),
    Witness(&'o Witness),
}

impl Own {
    pub(crate) fn new(witness: Option<(&str, Witness)>, scrape: Option<Scrape>) -> Self {
        if witness.is_none() && scrape.is_none() {
            return Self(None);
        }
        let witness = witness.map(|(path, witness)| (path.into(), witness));
        Self(Some(Arc::new(Inner { witness, scrape })))
    }

    pub(crate) fn witness(&self) -> Option<&Witness> {
        Some(&self.0.as_ref()?.witness.as_ref()?.1)
    }

    pub(crate) fn scrape(&self) -> Option<&Scrape> {
        self.0.as_ref()?.scrape.as_ref()
    }

    /// Whether the witness answers, who decides itself whose tokens and which rules there are:
    /// none.
    pub(crate) fn is_witness_call(&self, inspection: &Inspection<'_>) -> bool {
        let asked = self.asked(inspection.context, &inspection.parts.method);
        matches!(asked, Some(Asked::Witness(_)))
    }

    /// Paths count letter by letter, as they were received.
    fn asked(&self, context: &SecurityContext, method: &Method) -> Option<Asked<'_>> {
        let own = self.0.as_deref()?;
        let path = context.uri().path();
        if let Some((prefix, witness)) = &own.witness {
            let call = path.strip_prefix(&**prefix);
            let is_call = matches!(call, Some("/add-checkpoint" | "/add-key"));
            if is_call && *method == Method::POST {
                return Some(Asked::Witness(witness));
            }
        }
        let scrape = own.scrape.as_ref()?;
        (scrape.path() == Some(path)).then_some(Asked::Scrape(scrape))
    }
}

/// A service of which some calls are answered by the configuration.
#[derive(Clone, Debug)]
pub struct Answered<S> {
    inner: S,
    own: Own,
}

impl<S> Answered<S> {
    pub(crate) const fn new(inner: S, own: Own) -> Self {
        Self { inner, own }
    }
}

impl<S, B, X> Service<Request<B>> for Answered<S>
where
    S: Service<Request<B>, Response = Response<X>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<OptionalBody<Full<Bytes>, X>>;
    type Error = S::Error;
    type Future = AnsweredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let context = SecurityContext::of(request.extensions());
        let asked = context.and_then(|context| self.own.asked(context, request.method()));
        match asked {
            None => AnsweredFuture::Inner {
                future: self.inner.call(request),
            },
            Some(Asked::Scrape(scrape)) => {
                let answer = scrape.answer(request.method());
                AnsweredFuture::Own {
                    future: Box::pin(std::future::ready(Ok(answer))),
                }
            }
            Some(Asked::Witness(witness)) => AnsweredFuture::Own {
                future: Box::pin(WitnessService::new(witness.clone()).call(request)),
            },
        }
    }
}

/// Boxed: it is one call in some seconds, and not one for each request.
type OwnFuture = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

pin_project! {
    /// The future of an [`Answered`] service.
    #[project = FutureOf]
    pub enum AnsweredFuture<F> {
        /// The service answers.
        #[doc(hidden)]
        Inner { #[pin] future: F },
        /// The configuration does.
        #[doc(hidden)]
        Own { future: OwnFuture },
    }
}

impl<F, X, E> Future for AnsweredFuture<F>
where
    F: Future<Output = Result<Response<X>, E>>,
{
    type Output = Result<Response<OptionalBody<Full<Bytes>, X>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            FutureOf::Inner { future } => {
                ready!(future.poll(cx)).map(|it| it.map(|body| OptionalBody::Without { body }))
            }
            FutureOf::Own { future } => match ready!(future.as_mut().poll(cx)) {
                Ok(answer) => Ok(answer.map(|body| OptionalBody::With { body })),
                Err(never) => match never {},
            },
        })
    }
}

impl<F> fmt::Debug for AnsweredFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnsweredFuture")
    }
}
