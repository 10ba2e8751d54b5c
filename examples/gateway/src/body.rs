//! Bodies that stream through: nothing is kept of them, and silence has an end.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use crate::headers::clean_trailers;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a message that the gateway sends, in either direction.
pub(crate) type Passed = UnsyncBoxBody<Bytes, BoxError>;

/// When something last happened on an exchange.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<Moments>);

#[derive(Debug)]
struct Moments {
    began: Instant,
    last_millis: AtomicU64,
    client_is_waited_for: AtomicBool,
    client_failed: AtomicBool,
}

impl Activity {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Moments {
            began: Instant::now(),
            last_millis: AtomicU64::new(0),
            client_is_waited_for: AtomicBool::new(false),
            client_failed: AtomicBool::new(false),
        }))
    }

    /// Takes note that something happened.
    pub(crate) fn touch(&self) {
        let millis = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_millis.store(millis, Ordering::Relaxed);
    }

    /// How much longer nothing may happen; none once it was `limit`.
    fn left_of(&self, limit: Duration) -> Option<Duration> {
        let last = Duration::from_millis(self.0.last_millis.load(Ordering::Relaxed));
        let silent = self.0.began.elapsed().saturating_sub(last);
        limit.checked_sub(silent).filter(|left| !left.is_zero())
    }

    /// Completes when nothing has happened for so long.
    pub(crate) async fn silent_for(&self, limit: Duration) {
        while let Some(left) = self.left_of(limit) {
            sleep(left).await;
        }
    }

    /// Whether it was the client's body that broke off.
    pub(crate) fn client_failed(&self) -> bool {
        self.0.client_failed.load(Ordering::Relaxed)
    }

    /// Whether it is the client that does not go on.
    pub(crate) fn client_is_waited_for(&self) -> bool {
        self.0.client_is_waited_for.load(Ordering::Relaxed)
    }
}

pin_project! {
    /// The body of a request, on its way in.
    pub(crate) struct Upload<B> {
        #[pin]
        body: B,
        activity: Activity,
    }
}

impl<B> Upload<B> {
    pub(crate) fn new(body: B, activity: Activity) -> Self {
        Self { body, activity }
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx);
        let waiting = &this.activity.0.client_is_waited_for;
        waiting.store(polled.is_pending(), Ordering::Relaxed);
        let frame = ready!(polled);
        if is_something(&frame) {
            this.activity.touch();
        }
        if matches!(frame, Some(Err(_))) {
            let failed = &this.activity.0.client_failed;
            failed.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame.map(|frame| frame.map(cleaned).map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// The body of a response, on its way out.
    pub(crate) struct Download<B> {
        #[pin]
        body: B,
        #[pin]
        silence: Option<Sleep>,
        activity: Activity,
        limit: Duration,
    }
}

impl<B> Download<B> {
    /// Breaks off once nothing has happened for so long, in either direction.
    pub(crate) fn new(body: B, activity: Activity, limit: Duration) -> Self {
        Self {
            body,
            silence: None,
            activity,
            limit,
        }
    }
}

impl<B> Body for Download<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            if is_something(&frame) {
                this.activity.touch();
                this.silence.set(None);
            }
            return Poll::Ready(frame.map(|frame| frame.map(cleaned).map_err(Into::into)));
        }
        if this.silence.is_none() {
            // Time counts from when it is waited for: who does not read is not the upstream's fault.
            this.activity.touch();
        }
        loop {
            let Some(left) = this.activity.left_of(*this.limit) else {
                let silent = io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long");
                return Poll::Ready(Some(Err(silent.into())));
            };
            if this.silence.is_none() {
                this.silence.set(Some(sleep(left)));
            }
            if let Some(silence) = this.silence.as_mut().as_pin_mut() {
                ready!(silence.poll(cx));
            }
            this.silence.set(None);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether anything came. Frames without a byte can be sent for ever, and bring nobody further.
fn is_something<E>(frame: &Option<Result<Frame<Bytes>, E>>) -> bool {
    match frame {
        Some(Ok(frame)) => frame.data_ref().is_none_or(|data| !data.is_empty()),
        Some(Err(_)) | None => true,
    }
}

/// Trailers without what would mean something in a head.
fn cleaned(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            clean_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

#[cfg(test)]
mod tests;
