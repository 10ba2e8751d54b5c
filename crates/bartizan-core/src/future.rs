//! The one future for all guards.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Method, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::GuardBody;
use crate::context::SecurityContext;
use crate::duty::settle;
use crate::guard::{Guard, Inquiry, Inspection};
use crate::pass::{Pass, Settled};
use crate::protocol::Protocol;
use crate::rejection::{Rejection, RejectionBody};

/// What a refusal must look like, read from the request before it is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) protocol: Protocol,
    head: bool,
}

impl Form {
    pub(crate) fn of(request: &Parts) -> Self {
        Self {
            protocol: Protocol::of(request),
            head: request.method == Method::HEAD,
        }
    }

    /// Renders a refusal. The answer to `HEAD` has the head of any other and no body: HTTP/2
    /// servers do not take one away by themselves.
    fn render<B, P>(self, rejection: Rejection) -> Response<GuardBody<B, P>> {
        let response = rejection.into_response(self.protocol);
        response.map(|body| {
            GuardBody::refusal(if self.head {
                RejectionBody::default()
            } else {
                body
            })
        })
    }
}

/// A request that a guard is still asked about.
pub(crate) struct Asked<G, S, ReqBody> {
    pub(crate) guard: G,
    pub(crate) service: S,
    pub(crate) request: (Parts, ReqBody),
    pub(crate) context: SecurityContext,
    pub(crate) note: Option<Arc<str>>,
}

pin_project! {
    /// The response of a [`Guarded`](crate::Guarded) service.
    pub struct GuardFuture<S, G, ReqBody>
    where
        G: Guard,
        S: Service<Request<ReqBody>>,
    {
        form: Form,
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
            asked: Option<Asked<G, S, ReqBody>>,
        },
        // The request passed after a wait, and the service is not ready yet.
        Readying {
            service: S,
            request: Option<Request<ReqBody>>,
            pass: Option<Settled<G::Pass>>,
        },
        // The request passed.
        Calling {
            #[pin]
            response: S::Future,
            pass: Option<Settled<G::Pass>>,
        },
        // The request was refused; by a guard further in, if one further out has a pass.
        Refused {
            rejection: Option<Rejection>,
            pass: Option<Settled<G::Pass>>,
        },
    }
}

impl<S, G, ReqBody> GuardFuture<S, G, ReqBody>
where
    G: Guard,
    S: Service<Request<ReqBody>>,
{
    pub(crate) fn asking(inquiry: G::Inquiry, asked: Asked<G, S, ReqBody>, form: Form) -> Self {
        Self {
            form,
            state: State::Asking {
                inquiry,
                asked: Some(asked),
            },
        }
    }

    pub(crate) fn calling(response: S::Future, pass: Settled<G::Pass>, form: Form) -> Self {
        Self {
            form,
            state: State::Calling {
                response,
                pass: Some(pass),
            },
        }
    }

    pub(crate) fn refused(
        rejection: Rejection,
        pass: Option<Settled<G::Pass>>,
        form: Form,
    ) -> Self {
        Self {
            form,
            state: State::Refused {
                rejection: Some(rejection),
                pass,
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
        let form = *this.form;
        loop {
            let next = match this.state.as_mut().project() {
                StateOf::Asking { inquiry, asked } => {
                    let mut held = take(asked);
                    let (parts, _) = &mut held.request;
                    let context = &held.context;
                    let note = held.note.take();
                    let mut inspection = Inspection {
                        parts,
                        context,
                        protocol: form.protocol,
                        note,
                    };
                    let verdict = inquiry.poll_verdict(cx, &mut inspection);
                    let settled =
                        verdict.map(|verdict| settle(held.guard.duty(), &mut inspection, verdict));
                    let note = inspection.note.take();
                    match settled {
                        Poll::Pending => {
                            held.note = note;
                            *asked = Some(held);
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(rejection)) => State::Refused {
                            rejection: Some(rejection),
                            pass: None,
                        },
                        Poll::Ready(Ok(mut pass)) => match pass.take_refusal() {
                            Some(rejection) => State::Refused {
                                rejection: Some(rejection),
                                pass: Some(pass),
                            },
                            None => {
                                let (parts, body) = held.request;
                                let request = Some(Request::from_parts(parts, body));
                                State::Readying {
                                    service: held.service,
                                    request,
                                    pass: Some(pass),
                                }
                            }
                        },
                    }
                }
                StateOf::Readying {
                    service,
                    request,
                    pass,
                } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        let response = service.call(take(request));
                        State::Calling {
                            response,
                            pass: pass.take(),
                        }
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                },
                StateOf::Calling { response, pass } => match response.poll(cx) {
                    Poll::Ready(Ok(response)) => {
                        let (mut parts, body) = response.into_parts();
                        if let Some(pass) = pass {
                            pass.respond(&mut parts);
                        }
                        // The trailers of anything else would be lost, and its end look regular.
                        let trailers = form.protocol == Protocol::Grpc
                            && Protocol::of_content(&parts.headers) == Protocol::Grpc;
                        let body = GuardBody::inner(body, pass.take(), trailers);
                        return Poll::Ready(Ok(Response::from_parts(parts, body)));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        let cut_by = |pass: &mut Settled<G::Pass>| pass.poll_cut(cx);
                        let rejection = ready!(pass.as_mut().map_or(Poll::Pending, cut_by));
                        State::Refused {
                            rejection: Some(rejection),
                            pass: None,
                        }
                    }
                },
                StateOf::Refused { rejection, pass } => {
                    let refusal = form.render(take(rejection));
                    let Some(mut pass) = pass.take() else {
                        return Poll::Ready(Ok(refusal));
                    };
                    let (mut parts, body) = refusal.into_parts();
                    pass.respond(&mut parts);
                    return Poll::Ready(Ok(Response::from_parts(parts, body)));
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
            State::Readying { .. } => "GuardFuture::Readying",
            State::Calling { .. } => "GuardFuture::Calling",
            State::Refused { .. } => "GuardFuture::Refused",
        })
    }
}
