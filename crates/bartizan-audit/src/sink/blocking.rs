//! Sinks that block.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use crate::sink::{Accepted, Batch, Sink, SinkAnswer, SinkError, SinkErrorKind};
use crate::tail::Deliver;

/// A [`Deliver`] as a [`Sink`]: each batch goes to a thread that may block, such as that of a
/// [`LineSink`](crate::LineSink).
///
/// While one batch hangs, the next attempt waits for it: there are never two at once.
#[derive(Debug)]
pub struct Blocking<D>(Arc<Mutex<D>>);

impl<D> Blocking<D> {
    /// Delivers to this.
    pub fn new(deliver: D) -> Self {
        Self(Arc::new(Mutex::new(deliver)))
    }
}

impl<D: Deliver + Send + 'static> Sink for Blocking<D> {
    fn deliver<'s>(&'s mut self, batch: Batch<'s>) -> SinkAnswer<'s> {
        let deliver = Arc::clone(&self.0);
        let entries = batch.entries.to_vec();
        Box::pin(async move {
            let done = spawn_blocking(move || {
                // One that panicked before is asked again: what it has is for it to say.
                let mut deliver = deliver.lock().unwrap_or_else(PoisonError::into_inner);
                deliver.deliver(&entries)
            });
            match done.await {
                Ok(delivered) => delivered.map(|()| Accepted::all()).map_err(SinkError::from),
                Err(error) => Err(SinkError::new(SinkErrorKind::Unavailable, error)),
            }
        })
    }
}
