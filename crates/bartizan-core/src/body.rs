//! The one response body for all guards.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::code::Code;
use crate::pass::{Pass, Settled};
use crate::rejection::{Rejection, RejectionBody};

/// After so many frames in a row without a wait, the pass is asked all the same whether the
/// response must end: a body that always has data would otherwise never be cut.
const FRAMES_BETWEEN_CUTS: u8 = 64;

pin_project! {
    /// The body of a response that went through a guard: the inner service's own, or a refusal.
    ///
    /// Data and trailers pass through unchanged, one frame for one frame. It holds the guard's
    /// [`Pass`] until the body has ended, failed or been dropped.
    #[derive(Debug)]
    pub struct GuardBody<B, P> {
        #[pin]
        arm: Arm<B>,
        pass: Option<Settled<P>>,
        // Whether a status in the trailers can end the response.
        trailers: bool,
        frames: u8,
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

impl<B, P> GuardBody<B, P> {
    pub(crate) fn inner(body: B, pass: Option<Settled<P>>, trailers: bool) -> Self {
        Self {
            arm: Arm::Inner { body },
            pass,
            trailers,
            frames: 0,
        }
    }

    pub(crate) fn refusal(body: RejectionBody) -> Self {
        Self {
            arm: Arm::Refusal { body },
            pass: None,
            trailers: false,
            frames: 0,
        }
    }
}

/// An empty body: what tonic's interceptors answer with.
impl<B, P> Default for GuardBody<B, P> {
    fn default() -> Self {
        Self::refusal(RejectionBody::default())
    }
}

impl<B, P> Body for GuardBody<B, P>
where
    B: Body<Data = Bytes>,
    P: Pass,
{
    type Data = Bytes;
    type Error = GuardBodyError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let body = match this.arm.as_mut().project() {
            ArmOf::Inner { body } => body,
            ArmOf::Refusal { body } => {
                return body.poll_frame(cx).map_err(|never| match never {});
            }
        };
        let polled = match *this.frames {
            FRAMES_BETWEEN_CUTS => Poll::Pending,
            _ => body.poll_frame(cx),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                *this.frames += 1;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                *this.pass = None;
                Poll::Ready(Some(Err(GuardBodyError(Failure::Inner(error)))))
            }
            Poll::Ready(None) => {
                *this.pass = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let skipped_inner = *this.frames == FRAMES_BETWEEN_CUTS;
                *this.frames = 0;
                let cut_by = |pass: &mut Settled<P>| pass.poll_cut(cx);
                match this.pass.as_mut().map_or(Poll::Pending, cut_by) {
                    Poll::Ready(rejection) => {
                        *this.pass = None;
                        // Drops the inner body, so that what feeds it stops.
                        let body = RejectionBody::default();
                        this.arm.set(Arm::Refusal { body });
                        Poll::Ready(Some(cut(rejection, *this.trailers)))
                    }
                    Poll::Pending if skipped_inner => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
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

/// How a response ends in the middle: gRPC has trailers for it, HTTP only a broken body.
fn cut<E>(rejection: Rejection, trailers: bool) -> Result<Frame<Bytes>, GuardBodyError<E>> {
    if trailers {
        Ok(Frame::trailers(rejection.into_trailers()))
    } else {
        Err(GuardBodyError(Failure::Cut(rejection.code())))
    }
}

/// Why a [`GuardBody`] broke off.
///
/// It is not an `Error` itself: turned into a boxed error it becomes the inner body's error as it
/// was, so that hosts recognise their own (tonic looks for HTTP/2 reset reasons), or [`BodyCut`].
pub struct GuardBodyError<E>(Failure<E>);

enum Failure<E> {
    Inner(E),
    Cut(Code),
}

impl<E> GuardBodyError<E> {
    /// The inner body's error.
    ///
    /// # Errors
    ///
    /// [`BodyCut`] if it was the guard that ended the response.
    pub fn into_inner(self) -> Result<E, BodyCut> {
        match self.0 {
            Failure::Inner(error) => Ok(error),
            Failure::Cut(code) => Err(BodyCut { code }),
        }
    }
}

impl<E> From<GuardBodyError<E>> for Box<dyn Error + Send + Sync>
where
    E: Into<Self>,
{
    fn from(error: GuardBodyError<E>) -> Self {
        match error.into_inner() {
            Ok(inner) => inner.into(),
            Err(cut) => Box::new(cut),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for GuardBodyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Inner(error) => error.fmt(f),
            Failure::Cut(code) => write!(f, "Cut({code})"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for GuardBodyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Inner(error) => error.fmt(f),
            Failure::Cut(code) => fmt::Display::fmt(&BodyCut { code: *code }, f),
        }
    }
}

/// A guard ended a response in the middle, because what the request rested on has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodyCut {
    code: Code,
}

impl BodyCut {
    /// Why the response was ended.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for BodyCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "response ended by a guard: {}", self.code)
    }
}

impl Error for BodyCut {}
