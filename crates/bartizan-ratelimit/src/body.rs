//! A request's body that is measured while it is read.

mod link;
#[cfg(all(test, bartizan_loom))]
mod model;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) use self::link::Link;
use crate::error::RateLimitErrorKind;
use crate::ticks::Ticks;
use crate::upload::Measure;

type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// A request's body behind an [`UploadLayer`](crate::UploadLayer).
    ///
    /// Frames pass unchanged, one for one, and nothing is kept of them. When the body breaks a
    /// rule, the frame that breaks it is not handed on: the layer answers, and drops whoever
    /// reads. A reader that lives on, because it runs in a task of its own, is told an error
    /// ([`RateLimitError`](crate::RateLimitError)); the inner body's errors become boxed as they
    /// are.
    pub struct UploadBody<B> {
        #[pin]
        inner: B,
        meter: Option<Box<Meter>>,
    }
}

/// What is on its way from the guard to the body that it is about.
#[derive(Clone)]
pub(crate) struct Ticket {
    pub(crate) measure: Measure,
    pub(crate) link: Arc<Link>,
}

struct Meter {
    measure: Measure,
    link: Arc<Link>,
    begun: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    is_broken: bool,
    /// The frame that broke a rule in shadow mode, for as long as it takes to record that.
    held: Option<Frame<Bytes>>,
}

impl<B: Body> UploadBody<B> {
    pub(crate) fn new(inner: B, ticket: Option<Ticket>) -> Self {
        let ticket = ticket.filter(|_| !inner.is_end_stream());
        let meter = ticket.map(|Ticket { measure, link }| {
            Box::new(Meter {
                // Outside a runtime there is no timer, and nobody who would wait for one.
                begun: (measure.has_pace() && Handle::try_current().is_ok()).then(Instant::now),
                measure,
                link,
                timer: None,
                is_broken: false,
                held: None,
            })
        });
        Self { inner, meter }
    }
}

impl<B> Body for UploadBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let Some(meter) = this.meter else {
            return this.inner.poll_frame(cx).map_err(Into::into);
        };
        if meter.is_broken {
            return meter.link.poll_broken(cx).map(Some);
        }
        if let Some(frame) = meter.held.take() {
            // Once recorded is enough.
            *this.meter = None;
            return Poll::Ready(Some(Ok(frame)));
        }
        let polled = this.inner.poll_frame(cx).map_err(Into::into);
        let judged = match &polled {
            Poll::Ready(Some(Ok(frame))) => meter.receive(frame),
            Poll::Ready(_) => Ok(()),
            Poll::Pending => meter.wait(cx),
        };
        let Err(kind) = judged else {
            return polled;
        };
        if meter.link.report(kind) {
            meter.is_broken = true;
            return meter.link.poll_broken(cx).map(Some);
        }
        // In shadow mode the body is read on, after a moment in which the pass is asked.
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                meter.held = Some(frame);
                cx.waker().wake_by_ref();
            }
            _ => *this.meter = None,
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let is_broken = self.meter.as_ref().is_some_and(|meter| meter.is_broken);
        let holds = self
            .meter
            .as_ref()
            .is_some_and(|meter| meter.held.is_some());
        !is_broken && !holds && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Meter {
    fn receive(&mut self, frame: &Frame<Bytes>) -> Result<(), RateLimitErrorKind> {
        let now = self.now();
        match frame.data_ref() {
            Some(data) => self.measure.receive(now, data),
            None => Ok(()),
        }
    }

    /// Waits for the client, for as long as the pace allows.
    fn wait(&mut self, cx: &mut Context<'_>) -> Result<(), RateLimitErrorKind> {
        let Some(begun) = self.begun else {
            return Ok(());
        };
        let now = self.now();
        let Some(until) = self.measure.wait(now) else {
            return Ok(());
        };
        let Some(until) = begun.checked_add(until.to_duration()) else {
            return Ok(());
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Err(RateLimitErrorKind::UploadTooSlow),
            Poll::Pending => Ok(()),
        }
    }

    fn now(&self) -> Ticks {
        let elapsed = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        Ticks::from_duration(elapsed)
    }
}

impl<B: fmt::Debug> fmt::Debug for UploadBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadBody")
            .field("inner", &self.inner)
            .field("is_measured", &self.meter.is_some())
            .finish()
    }
}
