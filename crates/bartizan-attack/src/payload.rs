//! The body of a request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// The body of the requests that a service is attacked with: all its bytes at once, and trailers
/// behind them in a few.
///
/// It cannot fail, and never waits.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    bytes: Bytes,
    trailers: HeaderMap,
}

impl Payload {
    pub(crate) fn new(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self { bytes, trailers }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = if !self.bytes.is_empty() {
            Some(Frame::data(std::mem::take(&mut self.bytes)))
        } else if !self.trailers.is_empty() {
            Some(Frame::trailers(std::mem::take(&mut self.trailers)))
        } else {
            None
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.trailers.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
