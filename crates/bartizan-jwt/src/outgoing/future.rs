//! The future.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::error::{OutgoingError, TokenError};
use super::layer::Sent;
use super::refused::says_invalid_token;
use super::supply::{Obtaining, Supply};

pin_project! {
    /// The response of an [`Outgoing`](crate::Outgoing) service.
    pub struct OutgoingFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody>,
    }
}

pin_project! {
    #[project = StateOf]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        // The token is being obtained.
        Waiting {
            supply: Arc<Supply>,
            obtaining: Obtaining,
            held: Option<(S, Request<ReqBody>)>,
        },
        // There is one, and the client is not ready yet.
        Readying {
            service: S,
            request: Option<Request<ReqBody>>,
            sent: Option<Sent>,
        },
        // The call is made.
        Calling {
            #[pin]
            response: S::Future,
            sent: Option<Sent>,
        },
        // There is no token.
        Failed { error: Option<TokenError> },
    }
}

impl<S, ReqBody> OutgoingFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn waiting(
        supply: Arc<Supply>,
        obtaining: Obtaining,
        service: S,
        request: Request<ReqBody>,
    ) -> Self {
        let held = Some((service, request));
        Self {
            state: State::Waiting {
                supply,
                obtaining,
                held,
            },
        }
    }

    pub(super) fn calling(response: S::Future, sent: Option<Sent>) -> Self {
        Self {
            state: State::Calling { response, sent },
        }
    }

    pub(super) fn failed(error: TokenError) -> Self {
        Self {
            state: State::Failed { error: Some(error) },
        }
    }
}

impl<S, ReqBody, ResBody> Future for OutgoingFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResBody>, OutgoingError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateOf::Waiting {
                    supply,
                    obtaining,
                    held,
                } => match ready!(obtaining.as_mut().poll(cx)) {
                    Ok(issued) => {
                        let sent = Sent::new(supply, issued);
                        let (service, mut request) = take(held);
                        sent.present(request.headers_mut());
                        State::Readying {
                            service,
                            request: Some(request),
                            sent: Some(sent),
                        }
                    }
                    Err(error) => State::Failed { error: Some(error) },
                },
                StateOf::Readying {
                    service,
                    request,
                    sent,
                } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        let response = service.call(take(request));
                        let sent = sent.take();
                        State::Calling { response, sent }
                    }
                    Err(error) => return Poll::Ready(Err(OutgoingError::Inner(error))),
                },
                StateOf::Calling { response, sent } => {
                    let answer = ready!(response.poll(cx)).map_err(OutgoingError::Inner);
                    if let (Ok(response), Some(sent)) = (&answer, sent.take())
                        && says_invalid_token(response)
                    {
                        sent.refuse();
                    }
                    return Poll::Ready(answer);
                }
                StateOf::Failed { error } => {
                    return Poll::Ready(Err(OutgoingError::Token(take(error))));
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
    held.take().expect("OutgoingFuture polled after completion")
}

impl<S, ReqBody> fmt::Debug for OutgoingFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Waiting { .. } => "OutgoingFuture::Waiting",
            State::Readying { .. } => "OutgoingFuture::Readying",
            State::Calling { .. } => "OutgoingFuture::Calling",
            State::Failed { .. } => "OutgoingFuture::Failed",
        })
    }
}
