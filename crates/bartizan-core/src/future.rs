//! The one future for all guards.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::GuardBody;
use crate::context::SecurityContext;
use crate::duty::settle;
use crate::guard::{Guard, Inquiry, Inspection, Pass};
use crate::protocol::Protocol;
use crate::rejection::Rejection;

pin_project! {
    /// The response of a [`Guarded`](crate::Guarded) service.
    pub struct GuardFuture<S, G, ReqBody>
    where
        G: Guard,
        S: Service<Request<ReqBody>>,
    {
        protocol: Protocol,
        #[pin]
        state: State<S, G, ReqBody>,
    }
}

pin_project! {
    #[project = StateOf]
    enum State<S, G, ReqBody>
    where
        G: Guard,
        S: Service<Request<ReqBody>>,
    {
        // The guard has to wait.
        Asking {
            #[pin]
            inquiry: G::Inquiry,
            guard: G,
            service: S,
            request: Option<(Parts, ReqBody)>,
            context: SecurityContext,
        },
        // The request passed.
        Calling {
            #[pin]
            response: S::Future,
            pass: Option<G::Pass>,
        },
        // The request was refused.
        Refused { rejection: Option<Rejection> },
    }
}

impl<S, G, ReqBody> GuardFuture<S, G, ReqBody>
where
    G: Guard,
    S: Service<Request<ReqBody>>,
{
    pub(crate) fn asking(
        inquiry: G::Inquiry,
        guard: G,
        service: S,
        request: (Parts, ReqBody),
        context: SecurityContext,
        protocol: Protocol,
    ) -> Self {
        let request = Some(request);
        Self {
            protocol,
            state: State::Asking {
                inquiry,
                guard,
                service,
                request,
                context,
            },
        }
    }

    pub(crate) fn calling(response: S::Future, pass: Option<G::Pass>, protocol: Protocol) -> Self {
        Self {
            protocol,
            state: State::Calling { response, pass },
        }
    }

    pub(crate) fn refused(rejection: Rejection, protocol: Protocol) -> Self {
        Self {
            protocol,
            state: State::Refused {
                rejection: Some(rejection),
            },
        }
    }
}

impl<S, G, ReqBody, ResBody> Future for GuardFuture<S, G, ReqBody>
where
    G: Guard,
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<GuardBody<ResBody, G::Pass>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let protocol = *this.protocol;
        loop {
            let next = match this.state.as_mut().project() {
                StateOf::Asking {
                    inquiry,
                    guard,
                    service,
                    request,
                    context,
                } => {
                    let (mut parts, body) = take(request);
                    let mut inspection = Inspection {
                        parts: &mut parts,
                        context,
                        protocol,
                        note: None,
                    };
                    match inquiry.poll_verdict(cx, &mut inspection) {
                        Poll::Pending => {
                            *request = Some((parts, body));
                            return Poll::Pending;
                        }
                        Poll::Ready(verdict) => {
                            match settle(guard.duty(), &mut inspection, verdict) {
                                Ok(pass) => {
                                    let request = Request::from_parts(parts, body);
                                    State::Calling {
                                        response: service.call(request),
                                        pass,
                                    }
                                }
                                Err(rejection) => State::Refused {
                                    rejection: Some(rejection),
                                },
                            }
                        }
                    }
                }
                StateOf::Calling { response, pass } => match response.poll(cx) {
                    Poll::Ready(Ok(response)) => {
                        let (mut parts, body) = response.into_parts();
                        pass.respond(&mut parts);
                        let body = GuardBody::inner(body, pass.take(), protocol);
                        return Poll::Ready(Ok(Response::from_parts(parts, body)));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        let rejection = ready!(pass.poll_cut(cx));
                        State::Refused {
                            rejection: Some(rejection),
                        }
                    }
                },
                StateOf::Refused { rejection } => {
                    let response = take(rejection).into_response(protocol);
                    return Poll::Ready(Ok(response.map(GuardBody::refusal)));
                }
            };
            this.state.set(next);
        }
    }
}

/// Takes what the future holds for one poll.
#[expect(
    clippy::expect_used,
    reason = "only a poll after completion finds it taken"
)]
fn take<T>(held: &mut Option<T>) -> T {
    held.take().expect("GuardFuture polled after completion")
}

impl<S, G, ReqBody> fmt::Debug for GuardFuture<S, G, ReqBody>
where
    G: Guard,
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Asking { .. } => "GuardFuture::Asking",
            State::Calling { .. } => "GuardFuture::Calling",
            State::Refused { .. } => "GuardFuture::Refused",
        })
    }
}
