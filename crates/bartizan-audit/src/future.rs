//! The response of a recorded request, which may have to wait for its record.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_core::{Rejection, RejectionBody};
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::body::AuditBody;
use crate::error::not_durable;
use crate::ledger::Receipt;
use crate::privacy::KeyAnswer;
use crate::record::Ending;
use crate::service::{Answer, Held, Watch};

pin_project! {
    /// The response of an [`Audit`](crate::Audit) service.
    pub struct AuditFuture<F, B> {
        watch: Option<Held>,
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateOf]
    enum State<F, B> {
        // The handler works.
        Calling { #[pin] response: F },
        // The key of whoever it was is asked for.
        Keying { answer: KeyAnswer, response: Option<Box<Response<B>>> },
        // The record is on its way to the disk.
        Waiting { waiting: Pin<Box<Waiting<B>>> },
        // Refused.
        Refused { rejection: Option<Box<Rejection>> },
    }
}

pin_project! {
    // Boxed, as is all that only some requests come to: every request pays for moving the future.
    struct Waiting<B> {
        #[pin]
        receipt: Receipt,
        #[pin]
        limit: Sleep,
        response: Option<Response<B>>,
    }
}

impl<F, B> AuditFuture<F, B> {
    pub(crate) fn calling(response: F, watch: Held) -> Self {
        Self {
            watch: Some(watch),
            state: State::Calling { response },
        }
    }

    pub(crate) fn refused(rejection: Rejection, watch: Held) -> Self {
        Self {
            watch: Some(watch),
            state: State::Refused {
                rejection: Some(Box::new(rejection)),
            },
        }
    }
}

impl<F, B, E> Future for AuditFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<AuditBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateOf::Calling { response } => match ready!(response.poll(cx)) {
                    Ok(response) => {
                        let watch = held(this.watch);
                        match ask(watch) {
                            Some(answer) => State::Keying {
                                answer,
                                response: Some(Box::new(response)),
                            },
                            None => match hold(watch, &response) {
                                Answer::Send => return Poll::Ready(Ok(sent(response, this.watch))),
                                Answer::Wait(receipt) => waiting(receipt, response, watch),
                                Answer::Withhold => withheld(watch),
                            },
                        }
                    }
                    Err(error) => {
                        held(this.watch).finish(Ending::Failed);
                        *this.watch = None;
                        return Poll::Ready(Err(error));
                    }
                },
                StateOf::Keying { answer, response } => {
                    let key = ready!(answer.as_mut().poll(cx));
                    let watch = held(this.watch);
                    watch.set_key(key);
                    let response = *taken(response);
                    match hold(watch, &response) {
                        Answer::Send => return Poll::Ready(Ok(sent(response, this.watch))),
                        Answer::Wait(receipt) => waiting(receipt, response, watch),
                        Answer::Withhold => withheld(watch),
                    }
                }
                StateOf::Waiting { waiting } => {
                    let waiting = waiting.as_mut().project();
                    if waiting.receipt.poll(cx).is_ready() {
                        let response = taken(waiting.response);
                        return Poll::Ready(Ok(sent(response, this.watch)));
                    }
                    ready!(waiting.limit.poll(cx));
                    withheld(held(this.watch))
                }
                StateOf::Refused { rejection } => {
                    let watch = held(this.watch);
                    let (protocol, head) = (watch.protocol(), watch.is_head());
                    let response = taken(rejection).into_response(protocol);
                    let (parts, body) = response.into_parts();
                    watch.answered(parts.status, &parts.headers, None);
                    // The client reads a refusal whole, or it does not matter to it.
                    watch.finish(Ending::Complete);
                    *this.watch = None;
                    let body = if head { RejectionBody::default() } else { body };
                    return Poll::Ready(Ok(Response::from_parts(parts, AuditBody::refusal(body))));
                }
            };
            this.state.set(next);
        }
    }
}

/// Asks for the key that the record is sealed under, if it is not at hand.
fn ask(watch: &mut Watch) -> Option<KeyAnswer> {
    let (privacy, now) = {
        let settings = watch.settings();
        (
            settings.privacy.clone()?,
            settings.ledger.clock().monotonic(),
        )
    };
    if !watch.lacks_key() {
        return None;
    }
    let principal = watch.context().principal()?.clone();
    match privacy.kept(&principal, now) {
        Some(key) => {
            watch.set_key(key);
            None
        }
        None => Some(privacy.ask(&principal, now)),
    }
}

/// Takes note of the answer, and of whether it has to wait.
fn hold<B: Body>(watch: &mut Watch, response: &Response<B>) -> Answer {
    let promised = response.body().size_hint().exact();
    watch.answered(response.status(), response.headers(), promised);
    watch.hold(response.body().is_end_stream())
}

fn waiting<F, B>(receipt: Receipt, response: Response<B>, watch: &Watch) -> State<F, B> {
    State::Waiting {
        waiting: Box::pin(Waiting {
            receipt,
            limit: tokio::time::sleep(watch.settings().durable_wait),
            response: Some(response),
        }),
    }
}

/// The client must not learn of what could not be recorded: the answer is dropped.
fn withheld<F, B>(watch: &mut Watch) -> State<F, B> {
    watch.finish(Ending::Withheld);
    State::Refused {
        rejection: Some(Box::new(not_durable())),
    }
}

/// Passes the answer on. What is at its end already is written down at once.
fn sent<B: Body>(response: Response<B>, watch: &mut Option<Held>) -> Response<AuditBody<B>> {
    response.map(|body| {
        if body.is_end_stream()
            && let Some(mut watch) = watch.take()
        {
            watch.finish(Ending::Complete);
        }
        AuditBody::inner(body, watch.take())
    })
}

#[expect(
    clippy::expect_used,
    reason = "only a poll after completion finds it taken"
)]
fn held(watch: &mut Option<Held>) -> &mut Watch {
    watch.as_mut().expect("AuditFuture polled after completion")
}

#[expect(
    clippy::expect_used,
    reason = "only a poll after completion finds it taken"
)]
fn taken<T>(held: &mut Option<T>) -> T {
    held.take().expect("AuditFuture polled after completion")
}

impl<F, B> fmt::Debug for AuditFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Calling { .. } => "AuditFuture::Calling",
            State::Keying { .. } => "AuditFuture::Keying",
            State::Waiting { .. } => "AuditFuture::Waiting",
            State::Refused { .. } => "AuditFuture::Refused",
        })
    }
}
