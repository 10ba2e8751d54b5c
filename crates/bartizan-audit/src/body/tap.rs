//! A body that is read on its way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::service::{Side, Taps};

pin_project! {
    /// A body behind an [`AuditTapLayer`](crate::AuditTapLayer). Nothing of it is changed or held
    /// back.
    #[derive(Debug)]
    pub struct TapBody<B> {
        #[pin]
        body: B,
        taps: Option<Arc<Taps>>,
        side: Side,
    }
}

impl<B> TapBody<B> {
    pub(crate) fn new(body: B, taps: Option<Arc<Taps>>, side: Side) -> Self {
        Self { body, taps, side }
    }
}

/// A body as it is where there is nothing to tap.
impl<B: Default> Default for TapBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None, Side::Response)
    }
}

impl<B: Body<Data = Bytes>> Body for TapBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let (Some(taps), Some(data)) = (this.taps, frame.data_ref())
        {
            taps.take(*this.side, data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
