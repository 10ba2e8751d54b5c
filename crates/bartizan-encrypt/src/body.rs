//! Bodies that passed through the layer, and those that were collected.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::error::{EncryptError, EncryptErrorKind};
use crate::wiped::WipedBytes;

pin_project! {
    /// A body behind the layer: the original one, or the bytes that took its place.
    #[derive(Debug)]
    pub struct EncryptBody<B> {
        #[pin]
        arm: Arm<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = ArmOf]
    enum Arm<B> {
        Inner { #[pin] body: B },
        Own { bytes: Option<Bytes>, trailers: Option<HeaderMap> },
        Resumed { begun: Option<Bytes>, body: Pin<Box<B>> },
    }
}

impl<B> EncryptBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        let arm = Arm::Inner { body };
        Self { arm }
    }

    /// A body of which this much was received already.
    pub(crate) fn resumed(begun: Bytes, body: Pin<Box<B>>) -> Self {
        let begun = Some(begun).filter(|bytes| !bytes.is_empty());
        let arm = Arm::Resumed { begun, body };
        Self { arm }
    }

    pub(crate) fn own(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        let arm = Arm::Own { bytes, trailers };
        Self { arm }
    }
}

/// A body that passes as it is: of the same type as behind a layer, where there is none.
impl<B> From<B> for EncryptBody<B> {
    fn from(body: B) -> Self {
        Self::inner(body)
    }
}

/// An empty body: what tonic's interceptors answer with.
impl<B> Default for EncryptBody<B> {
    fn default() -> Self {
        Self::own(Bytes::new(), None)
    }
}

impl<B: Body<Data = Bytes>> Body for EncryptBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().arm.project() {
            ArmOf::Inner { body } => body.poll_frame(cx),
            ArmOf::Own { bytes, trailers } => {
                let data = bytes.take().map(Frame::data);
                let frame = data.or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            ArmOf::Resumed { begun, body } => match begun.take() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => body.as_mut().poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.arm {
            Arm::Inner { body } => body.is_end_stream(),
            Arm::Own { bytes, trailers } => bytes.is_none() && trailers.is_none(),
            Arm::Resumed { begun, body } => begun.is_none() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.arm {
            Arm::Inner { body } => body.size_hint(),
            Arm::Own { bytes, .. } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Arm::Resumed { .. } => SizeHint::default(),
        }
    }
}

/// What was received of a body by now. Wiped; what the connection's own buffers hold is not.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) bytes: WipedBytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Collected {
    /// Receives the rest of a body.
    pub(crate) fn poll<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), EncryptError>> {
        while let Some(frame) = ready!(body.as_mut().poll_frame(cx)) {
            let frame = frame.map_err(|_| EncryptErrorKind::BodyFailed)?;
            match frame.into_data() {
                Ok(data) => {
                    self.bytes.append(&data);
                    if self.bytes.len() > most {
                        return Poll::Ready(Err(EncryptErrorKind::TooLarge.into()));
                    }
                }
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The bytes of a finished buffer, without copying them.
pub(crate) fn bytes_of(buffer: WipedBytes) -> Bytes {
    Bytes::from(buffer.into_inner())
}
