//! Sinks that block.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use crate::sink::{Accepted, Batch, Sink, SinkAnswer, SinkError, SinkErrorKind};
use crate::tail::Deliver;

/// A [`Deliver`] as a [`Sink`]: each batch goes to a thread that may block, such as that of a
/// [`LineSink`](crate::LineSink).
///
/// There are never two at once: while one hangs beyond its deadline, further attempts fail, and take
/// no thread.
#[derive(Debug)]
pub struct Blocking<D>(Arc<Place<D>>);

#[derive(Debug)]
struct Place<D> {
    deliver: Mutex<D>,
    is_busy: AtomicBool,
}

impl<D> Blocking<D> {
    /// Delivers to this.
    pub fn new(deliver: D) -> Self {
        Self(Arc::new(Place {
            deliver: Mutex::new(deliver),
            is_busy: AtomicBool::new(false),
        }))
    }
}

impl<D: Deliver + Send + 'static> Sink for Blocking<D> {
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s> {
        let busy = || SinkError::new(SinkErrorKind::Unavailable, "the attempt before still hangs");
        if self.0.is_busy.swap(true, Ordering::Acquire) {
            return Box::pin(async move { Err(busy()) });
        }
        // From here on it is the thread that says when it is over, or the runtime that never runs it.
        let turn = Turn(Arc::clone(&self.0));
        let entries = batch.entries.to_vec();
        Box::pin(async move {
            let done = spawn_blocking(move || {
                let place = &turn.0;
                // One that panicked before is asked again: what it has is for it to say.
                let deliver = place.deliver.lock();
                let mut deliver = deliver.unwrap_or_else(PoisonError::into_inner);
                let delivered = deliver.deliver(&entries);
                drop(deliver);
                drop(turn);
                delivered
            });
            match done.await {
                Ok(delivered) => delivered.map(|()| Accepted::all()).map_err(SinkError::from),
                Err(error) => Err(SinkError::new(SinkErrorKind::Unavailable, error)),
            }
        })
    }
}

/// An attempt that is under way.
struct Turn<D>(Arc<Place<D>>);

impl<D> Drop for Turn<D> {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Release);
    }
}
