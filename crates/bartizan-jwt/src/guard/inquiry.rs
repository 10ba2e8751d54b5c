//! A decision that has to wait.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_core::{Inquiry, Inspection, Rejection};

use super::{Failure, Held, JwtGuard, JwtPass, Verdict, fresh};
use crate::credential::Presentation;
use crate::dpop::Replay;
use crate::introspection::Introspected;
use crate::key_source::Renewal;

/// A check that waits: for keys, for what an issuer says of a token, or for a store that tells whether a proof was seen before.
///
/// It does not copy the token, which stays in the request meanwhile.
pub struct JwtInquiry {
    pub(super) guard: JwtGuard,
    // Boxed, since hardly any request waits, and all would carry its size.
    pub(super) wait: Box<Wait>,
}

pub(super) enum Wait {
    Answer(Asking),
    Keys {
        failure: Failure,
        renewal: Pin<Box<dyn Future<Output = Renewal> + Send>>,
    },
    Replay(Recording),
}

/// A request whose token is asked about.
pub(super) struct Asking {
    pub(super) presentation: Presentation,
    pub(super) answer: Pin<Box<dyn Future<Output = Introspected> + Send>>,
}

/// A request that passes if its proof is fresh.
pub(super) struct Recording {
    pub(super) held: Held,
    pub(super) next_nonce: Option<String>,
    pub(super) answer: Pin<Box<dyn Future<Output = Replay> + Send>>,
}

impl Inquiry<JwtPass> for JwtInquiry {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<JwtPass, Rejection>> {
        let Self { guard, wait } = &mut *self;
        let wait = &mut **wait;
        let state = guard.state();
        loop {
            match wait {
                Wait::Answer(asking) => {
                    let answer = ready!(asking.answer.as_mut().poll(cx));
                    let presentation = asking.presentation;
                    match guard.judge_introspected(inspection, answer, presentation) {
                        Ok(pass) => return Poll::Ready(Ok(pass)),
                        Err(Verdict::Refused(rejection)) => return Poll::Ready(Err(rejection)),
                        Err(Verdict::Recording(recording)) => *wait = Wait::Replay(recording),
                        Err(Verdict::Asking(asking)) => *wait = Wait::Answer(asking),
                        Err(Verdict::Failed(failure)) => {
                            let refused = state.refuse(failure.error, failure.presentation);
                            return Poll::Ready(Err(refused));
                        }
                    }
                }
                Wait::Keys { failure, renewal } => {
                    let renewal = ready!(renewal.as_mut().poll(cx));
                    let mut failure = *failure;
                    // By the same keys the verdict would be the same, and a forged signature
                    // would cost twice.
                    if failure
                        .hinge
                        .is_none_or(|hinge| state.verifiers.has_other_keys(&hinge))
                    {
                        failure = match guard.judge(inspection) {
                            Ok(pass) => return Poll::Ready(Ok(pass)),
                            Err(Verdict::Refused(rejection)) => return Poll::Ready(Err(rejection)),
                            Err(Verdict::Recording(recording)) => {
                                *wait = Wait::Replay(recording);
                                continue;
                            }
                            Err(Verdict::Asking(asking)) => {
                                *wait = Wait::Answer(asking);
                                continue;
                            }
                            Err(Verdict::Failed(failure)) => failure,
                        };
                    }
                    let error = state.concluded(failure, renewal);
                    return Poll::Ready(Err(state.refuse(error, failure.presentation)));
                }
                Wait::Replay(recording) => {
                    let replay = ready!(recording.answer.as_mut().poll(cx));
                    let Recording {
                        held, next_nonce, ..
                    } = recording;
                    return Poll::Ready(match fresh(replay) {
                        Ok(()) => guard.admit(inspection, held.clone(), next_nonce.take()),
                        Err(error) => Err(state.refuse(error, Presentation::Dpop)),
                    });
                }
            }
        }
    }
}

impl fmt::Debug for JwtInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtInquiry")
    }
}
