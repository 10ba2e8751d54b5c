//! One request through the layer.

mod exchange;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_core::{Protocol, Rejection};
use bytes::Bytes;
use http::{Request, Response, request, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::{Collected, EncryptBody, bytes_of};
use crate::error::EncryptError;
use crate::future::exchange::{KeyWait, Work, trailers_of};
use crate::prepared::Prepared;

pub(crate) use self::exchange::Exchange;
#[cfg(feature = "prost")]
pub(crate) use self::exchange::record;

pin_project! {
    /// The response of an [`Encrypt`](crate::Encrypt) service.
    pub struct EncryptFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<EncryptBody<ReqBody>>>,
    {
        exchange: Option<Exchange>,
        protocol: Protocol,
        #[pin]
        state: State<S, ReqBody, ResBody, S::Future>,
    }
}

pin_project! {
    #[project = StateOf]
    enum State<S, ReqBody, ResBody, F> {
        // The request's body comes in, and then its keys.
        Receiving { message: Option<Message<(S, request::Parts), ReqBody>> },
        // The handler works.
        Calling { #[pin] response: F },
        // The response's body comes in, and then its keys.
        Answering { message: Option<Message<response::Parts, ResBody>> },
        // Refused.
        Refused { rejection: Option<Rejection> },
    }
}

/// A message that is held until its body can be changed as a whole.
struct Message<H, B> {
    head: H,
    body: Pin<Box<B>>,
    collected: Collected,
    complete: bool,
    wait: Option<KeyWait>,
}

impl<H, B: Body<Data = Bytes>> Message<H, B> {
    fn new(head: H, body: B) -> Self {
        Self {
            head,
            body: Box::pin(body),
            collected: Collected::default(),
            complete: false,
            wait: None,
        }
    }

    /// Receives the body, and has the keys.
    fn poll(
        &mut self,
        exchange: &Exchange,
        work: Work,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Prepared, EncryptError>> {
        if !self.complete {
            ready!(
                self.collected
                    .poll(self.body.as_mut(), exchange.max_body(), cx)
            )?;
            self.complete = true;
        }
        let wait = match &mut self.wait {
            Some(wait) => wait,
            None => match exchange.keys(work) {
                Ok(keys) => return Poll::Ready(Ok(keys)),
                Err(wait) => self.wait.insert(wait),
            },
        };
        wait.as_mut().poll(cx)
    }

    /// The message as it came.
    fn unchanged(self) -> (H, EncryptBody<B>) {
        let bytes = bytes_of(self.collected.bytes);
        let body = match self.complete {
            true => EncryptBody::own(bytes, self.collected.trailers),
            false => EncryptBody::resumed(bytes, self.body),
        };
        (self.head, body)
    }
}

impl<S, ReqBody, ResBody> EncryptFuture<S, ReqBody, ResBody>
where
    S: Service<Request<EncryptBody<ReqBody>>>,
    ReqBody: Body<Data = Bytes>,
{
    pub(crate) fn refused(rejection: Rejection, protocol: Protocol) -> Self {
        let rejection = Some(rejection);
        Self {
            exchange: None,
            protocol,
            state: State::Refused { rejection },
        }
    }

    /// A request that cannot be worked on; in shadow mode it passes all the same.
    pub(crate) fn unfit(
        mut exchange: Exchange,
        error: EncryptError,
        service: S,
        parts: request::Parts,
        body: ReqBody,
    ) -> Self {
        match exchange.refuse(error) {
            Some(rejection) => Self::refused(rejection, exchange.protocol()),
            None => Self::calling(exchange, service, parts, EncryptBody::inner(body)),
        }
    }

    pub(crate) fn receiving(
        exchange: Exchange,
        service: S,
        parts: request::Parts,
        body: ReqBody,
    ) -> Self {
        let message = Some(Message::new((service, parts), body));
        Self {
            protocol: exchange.protocol(),
            exchange: Some(exchange),
            state: State::Receiving { message },
        }
    }

    pub(crate) fn calling(
        exchange: Exchange,
        mut service: S,
        mut parts: request::Parts,
        body: EncryptBody<ReqBody>,
    ) -> Self {
        exchange.prepare_head(&mut parts.headers);
        let response = service.call(Request::from_parts(parts, body));
        Self {
            protocol: exchange.protocol(),
            exchange: Some(exchange),
            state: State::Calling { response },
        }
    }
}

impl<S, ReqBody, ResBody> Future for EncryptFuture<S, ReqBody, ResBody>
where
    S: Service<Request<EncryptBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<EncryptBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateOf::Receiving { message } => {
                    let exchange = held(this.exchange);
                    let keys = ready!(held(message).poll(exchange, Work::Seal, cx));
                    let mut message = take(message);
                    let sealed = keys.and_then(|keys| {
                        let (_, parts) = &mut message.head;
                        exchange.seal(&keys, &mut parts.headers, &message.collected.bytes)
                    });
                    match sealed {
                        Ok(Some(sealed)) => {
                            let trailers = trailers_of(&mut message.collected);
                            let (service, parts) = message.head;
                            let body = EncryptBody::own(sealed, trailers);
                            call(exchange, service, parts, body)
                        }
                        Ok(None) => {
                            let ((service, parts), body) = message.unchanged();
                            call(exchange, service, parts, body)
                        }
                        Err(error) => match exchange.refuse(error) {
                            Some(rejection) => refused(rejection),
                            None => {
                                let ((service, parts), body) = message.unchanged();
                                call(exchange, service, parts, body)
                            }
                        },
                    }
                }
                StateOf::Calling { response } => {
                    let (mut parts, body) = ready!(response.poll(cx))?.into_parts();
                    let exchange = held(this.exchange);
                    match exchange.response_matters(&parts, body.is_end_stream()) {
                        Ok(true) => State::Answering {
                            message: Some(Message::new(parts, body)),
                        },
                        Ok(false) => {
                            if body.is_end_stream() {
                                exchange.correct_empty(&mut parts);
                            }
                            *this.exchange = None;
                            let body = EncryptBody::inner(body);
                            return Poll::Ready(Ok(Response::from_parts(parts, body)));
                        }
                        Err(error) => match exchange.refuse(error) {
                            Some(rejection) => refused(rejection),
                            None => {
                                let body = EncryptBody::inner(body);
                                return Poll::Ready(Ok(Response::from_parts(parts, body)));
                            }
                        },
                    }
                }
                StateOf::Answering { message } => {
                    let exchange = held(this.exchange);
                    let keys = ready!(held(message).poll(exchange, Work::Reveal, cx));
                    let mut message = take(message);
                    let revealed = keys.and_then(|keys| {
                        exchange.reveal(&keys, &mut message.head.headers, &message.collected.bytes)
                    });
                    let (parts, body) = match revealed {
                        Ok(Some(revealed)) => {
                            let trailers = trailers_of(&mut message.collected);
                            (message.head, EncryptBody::own(revealed, trailers))
                        }
                        Ok(None) => message.unchanged(),
                        Err(error) => match exchange.refuse(error.in_response()) {
                            Some(rejection) => {
                                this.state.set(refused(rejection));
                                continue;
                            }
                            None => message.unchanged(),
                        },
                    };
                    *this.exchange = None;
                    return Poll::Ready(Ok(Response::from_parts(parts, body)));
                }
                StateOf::Refused { rejection } => {
                    let response = take(rejection).into_response(*this.protocol);
                    let body = |body: bartizan_core::RejectionBody| body.into_bytes();
                    let response = response.map(body).map(|b| EncryptBody::own(b, None));
                    return Poll::Ready(Ok(response));
                }
            };
            this.state.set(next);
        }
    }
}

fn call<S, ReqBody, ResBody>(
    exchange: &Exchange,
    mut service: S,
    mut parts: request::Parts,
    body: EncryptBody<ReqBody>,
) -> State<S, ReqBody, ResBody, S::Future>
where
    S: Service<Request<EncryptBody<ReqBody>>>,
{
    exchange.prepare_head(&mut parts.headers);
    let response = service.call(Request::from_parts(parts, body));
    State::Calling { response }
}

fn refused<S, ReqBody, ResBody, F>(rejection: Rejection) -> State<S, ReqBody, ResBody, F> {
    let rejection = Some(rejection);
    State::Refused { rejection }
}

#[expect(
    clippy::expect_used,
    reason = "only a poll after completion finds it taken"
)]
fn held<T>(held: &mut Option<T>) -> &mut T {
    held.as_mut()
        .expect("EncryptFuture polled after completion")
}

#[expect(
    clippy::expect_used,
    reason = "only a poll after completion finds it taken"
)]
fn take<T>(held: &mut Option<T>) -> T {
    held.take().expect("EncryptFuture polled after completion")
}

impl<S, ReqBody, ResBody> fmt::Debug for EncryptFuture<S, ReqBody, ResBody>
where
    S: Service<Request<EncryptBody<ReqBody>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Receiving { .. } => "EncryptFuture::Receiving",
            State::Calling { .. } => "EncryptFuture::Calling",
            State::Answering { .. } => "EncryptFuture::Answering",
            State::Refused { .. } => "EncryptFuture::Refused",
        })
    }
}
