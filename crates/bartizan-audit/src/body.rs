//! The bodies.

mod tap;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_core::RejectionBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::record::Ending;
use crate::service::Held;

pub use self::tap::TapBody;

pin_project! {
    /// The body of a recorded response: the inner service's own, or a refusal.
    ///
    /// The request is written down when it has ended, failed or been dropped.
    #[derive(Debug)]
    pub struct AuditBody<B> {
        #[pin]
        arm: Arm<B>,
        watch: Option<Held>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = ArmOf]
    enum Arm<B> {
        Inner { #[pin] body: B },
        Refusal { #[pin] body: RejectionBody },
    }
}

impl<B> AuditBody<B> {
    pub(crate) fn inner(body: B, watch: Option<Held>) -> Self {
        Self {
            arm: Arm::Inner { body },
            watch,
        }
    }

    pub(crate) fn refusal(body: RejectionBody) -> Self {
        Self {
            arm: Arm::Refusal { body },
            watch: None,
        }
    }
}

/// An empty body: what tonic's interceptors answer with.
impl<B> Default for AuditBody<B> {
    fn default() -> Self {
        Self::refusal(RejectionBody::default())
    }
}

impl<B: Body<Data = Bytes>> Body for AuditBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let body = match this.arm.as_mut().project() {
            ArmOf::Inner { body } => body,
            ArmOf::Refusal { body } => {
                return body
                    .poll_frame(cx)
                    .map_err(|never: Infallible| match never {});
            }
        };
        let polled = ready!(body.poll_frame(cx));
        let Some(watch) = this.watch else {
            return Poll::Ready(polled);
        };
        let ending = match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    watch.sent(data.len());
                } else if let Some(trailers) = frame.trailers_ref() {
                    watch.trailers(trailers);
                }
                // Servers do not ask again once a body says that it has ended, nor behind trailers.
                let has_ended = frame.is_trailers()
                    || matches!(this.arm.project(), ArmOf::Inner { body } if body.is_end_stream());
                has_ended.then_some(Ending::Complete)
            }
            Some(Err(_)) => Some(Ending::BodyFailed),
            None => Some(Ending::Complete),
        };
        if let Some(ending) = ending {
            watch.finish(ending);
            *this.watch = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.arm {
            Arm::Inner { body } => body.is_end_stream(),
            Arm::Refusal { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.arm {
            Arm::Inner { body } => body.size_hint(),
            Arm::Refusal { body } => body.size_hint(),
        }
    }
}
