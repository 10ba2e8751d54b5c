//! What a configuration answers itself, in place of the service: calls of a witness, metrics, and
//! what clients without a token are told.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arc_swap::ArcSwap;
use bartizan_audit::{Witness, WitnessService};
use bartizan_core::{Inspection, SecurityContext};
use bartizan_jwt::{ResourceMetadata, ResourceMetadataService};
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
    metadata: Option<(Box<str>, ArcSwap<ResourceMetadataService>)>,
}

/// Which of it.
#[derive(Debug)]
enum Asked<'o> {
    Metadata(&'o ArcSwap<ResourceMetadataService>),
    Scrape(&'o Scrape),
    Witness(&'o Witness),
}

impl Own {
    pub(crate) fn new(
        witness: Option<(&str, Witness)>,
        scrape: Option<Scrape>,
        metadata: Option<&ResourceMetadata>,
    ) -> Self {
        if witness.is_none() && scrape.is_none() && metadata.is_none() {
            return Self(None);
        }
        Self(Some(Arc::new(Inner {
            witness: witness.map(|(path, witness)| (path.into(), witness)),
            scrape,
            metadata: metadata.map(|document| {
                let service = ArcSwap::from_pointee(document.service());
                (document.path().into(), service)
            }),
        })))
    }

    /// Answers with this document from now on, if there was one before.
    pub(crate) fn replace(&self, document: &ResourceMetadata) {
        let metadata = self.0.as_ref().and_then(|own| own.metadata.as_ref());
        if let Some((_, service)) = metadata {
            service.store(Arc::new(document.service()));
        }
    }

    pub(crate) fn witness(&self) -> Option<&Witness> {
        Some(&self.0.as_ref()?.witness.as_ref()?.1)
    }

    pub(crate) fn scrape(&self) -> Option<&Scrape> {
        self.0.as_ref()?.scrape.as_ref()
    }

    /// Whether it is answered to whoever has no token: by the witness, who decides itself whose
    /// tokens and which rules there are, none, or with what such clients are told.
    pub(crate) fn takes_no_token(&self, inspection: &Inspection<'_>) -> bool {
        let method = &inspection.parts.method;
        match self.asked(inspection.context, method) {
            Some(Asked::Witness(_)) => true,
            Some(Asked::Metadata(_)) => matches!(*method, Method::GET | Method::HEAD),
            Some(Asked::Scrape(_)) | None => false,
        }
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
        if let Some((known, service)) = &own.metadata
            && path == &**known
        {
            return Some(Asked::Metadata(service));
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
            Some(Asked::Metadata(service)) => {
                let answered = (**service.load()).clone().call(request);
                AnsweredFuture::Own {
                    future: Box::pin(async move { Ok(answered.await?.map(Full::from)) }),
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
