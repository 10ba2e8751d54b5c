//! The handle of what delivers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::ledger::Ledger;
use crate::sink::Sink;
use crate::sink::config::{DeliveryBuilder, Settings};
use crate::sink::run::Run;
use crate::sink::status::{DeliveryState, DeliveryStatus};
use crate::tail::Tail;

/// Brings the entries of a ledger to one sink, as a task beside a service.
///
/// 1. It follows the ledger by a [`Tail`], whose place is kept in a file. No request ever waits
///    for it: the ledger is all that the two have in common.
/// 2. Entries go in bounded batches, in order, one batch at a time. A batch that fails, hangs
///    beyond the deadline, or was in flight in a crash is offered again: at least once.
/// 3. After a failure it waits with exponential backoff and full jitter, or as long as the other
///    side asks. Nothing is skipped, and it never gives up.
/// 4. What the ledger pruned before the sink got it is counted in the status, told to the
///    observer, and gone on behind.
/// 5. The [status](Self::status) can be looked at from anywhere.
///
/// ```
/// use bartizan_audit::{Blocking, Delivery, Format, Ledger, LineSink, Renderer};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("bartizan-delivery-{}", std::process::id()));
/// let ledger = Ledger::builder(&folder, "orders.example.com/audit").open()?;
/// let renderer = Renderer::new(Format::Ocsf, ledger.origin());
/// let sink = Blocking::new(LineSink::append(renderer, folder.join("audit.jsonl"))?);
/// let delivery = Delivery::builder(&folder, "lines", sink).with_ledger(&ledger).start()?;
///
/// // ... the service runs. At its end the ledger ends first, then what carries it away.
/// ledger.shutdown(Duration::from_secs(10)).await;
/// let status = delivery.shutdown(Duration::from_secs(10)).await;
/// assert_eq!((status.delivered, status.lag), (2, Some(0)), "the start of the run, and its end");
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
///
/// Clones are handles to the same delivery, which ends with the last of them.
#[derive(Clone)]
pub struct Delivery(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    ledger: Option<Ledger>,
    task: AbortHandle,
}

/// What handle and task share.
pub(super) struct Shared {
    pub(super) status: watch::Sender<DeliveryStatus>,
    pub(super) stop: watch::Sender<bool>,
}

impl Delivery {
    /// Describes the delivery of the ledger in this folder to a sink. The name, such as
    /// `postgres`, stands in events, and names the file in which the place is kept.
    pub fn builder(folder: impl AsRef<Path>, name: &str, sink: impl Sink) -> DeliveryBuilder {
        DeliveryBuilder::new(folder.as_ref(), name, Box::new(sink))
    }

    pub(super) fn begin(
        runtime: &Handle,
        place: (PathBuf, PathBuf),
        tail: Tail,
        sink: Box<dyn Sink>,
        settings: Settings,
        ledger: Option<Ledger>,
    ) -> Self {
        let status = DeliveryStatus::new(tail.position(), tail.missed());
        let shared = Arc::new(Shared {
            status: watch::Sender::new(status),
            stop: watch::Sender::new(false),
        });
        let run = Run::new(place, tail, sink, settings, Arc::clone(&shared));
        let task = runtime.spawn(run.run()).abort_handle();
        Self(Arc::new(Inner {
            shared,
            ledger,
            task,
        }))
    }

    /// How it fares at this moment.
    #[must_use]
    pub fn status(&self) -> DeliveryStatus {
        let mut status = self.0.shared.status.borrow().clone();
        let size = self.0.ledger.as_ref().map(|ledger| ledger.checkpoint().0);
        status.lag = size.map(|size| size.saturating_sub(status.position));
        status
    }

    /// Waits until the status meets a condition, and gives it. The lag is not known to the
    /// condition. Does not end by itself if that never happens.
    pub async fn wait_for(&self, condition: impl Fn(&DeliveryStatus) -> bool) -> DeliveryStatus {
        let mut changes = self.0.shared.status.subscribe();
        // The sender lives as long as this handle.
        let _ = changes.wait_for(|status| condition(status)).await;
        self.status()
    }

    /// Delivers what is there, tries for at most `patience`, and ends. Says how far it came; the
    /// rest is delivered after the next start.
    ///
    /// Shut the ledger down first, so that its end is delivered as well.
    pub async fn shutdown(&self, patience: Duration) -> DeliveryStatus {
        self.0.shared.stop.send_replace(true);
        let is_over = |status: &DeliveryStatus| matches!(status.state, DeliveryState::Ended { .. });
        match timeout(patience, self.wait_for(is_over)).await {
            Ok(status) => status,
            Err(_) => {
                self.0.task.abort();
                self.wait_for(is_over).await
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.status()).finish()
    }
}
