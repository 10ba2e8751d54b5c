//! A decision that has to wait.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_core::{Inquiry, Inspection, Rejection};

use super::{JwtGuard, JwtPass, Verdict, fresh};
use crate::credential::Presentation;
use crate::dpop::Replay;
use crate::key_source::Renewal;
use crate::verifier::{Holding, cannot_check};

/// A check that waits: for keys, or for a store that tells whether a proof was seen before.
///
/// It does not copy the token, which stays in the request meanwhile.
pub struct JwtInquiry {
    pub(super) guard: JwtGuard,
    pub(super) wait: Wait,
}

pub(super) enum Wait {
    Keys {
        verifier: usize,
        renewal: Pin<Box<dyn Future<Output = Renewal> + Send>>,
    },
    Replay(Recording),
}

/// A request that passes if its proof is fresh.
pub(super) struct Recording {
    pub(super) holding: Holding,
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
        let state = &*guard.0;
        loop {
            match wait {
                Wait::Keys {
                    verifier: asked,
                    renewal,
                } => {
                    let renewal = ready!(renewal.as_mut().poll(cx));
                    let (error, presentation) = match guard.judge(inspection) {
                        Ok(pass) => return Poll::Ready(Ok(pass)),
                        Err(Verdict::Refused(rejection)) => return Poll::Ready(Err(rejection)),
                        Err(Verdict::Recording(recording)) => {
                            *wait = Wait::Replay(recording);
                            continue;
                        }
                        // The key may be one that the issuer has published and that we could not
                        // fetch.
                        Err(Verdict::Failed {
                            error,
                            presentation,
                            verifier,
                        }) if renewal == Renewal::Failed && verifier == Some(*asked) => {
                            (cannot_check(error), presentation)
                        }
                        Err(Verdict::Failed {
                            error,
                            presentation,
                            ..
                        }) => (error, presentation),
                    };
                    return Poll::Ready(Err(state.refuse(error, presentation)));
                }
                Wait::Replay(recording) => {
                    let replay = ready!(recording.answer.as_mut().poll(cx));
                    let Recording {
                        holding,
                        next_nonce,
                        ..
                    } = recording;
                    return Poll::Ready(match fresh(replay) {
                        Ok(()) => {
                            guard.admit(inspection.context, holding.clone(), next_nonce.take())
                        }
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
