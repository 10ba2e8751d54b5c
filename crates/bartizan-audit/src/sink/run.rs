//! The task that delivers.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind};
use bartizan_source::{Backoff, random};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::sink::config::Settings;
use crate::sink::delivery::Shared;
use crate::sink::error::{SinkError, SinkErrorKind};
use crate::sink::status::{DeliveryState, DeliveryStatus};
use crate::sink::{Accepted, Batch, Sink};
use crate::tail::Tail;

/// A sink does not take entries.
const FAILED: Code = Code::new("audit.sink_failed");
/// Entries were pruned before a sink got them.
const MISSED: Code = Code::new("audit.sink_missed");
/// After failures, a sink takes entries again.
const RECOVERED: Code = Code::new("audit.sink_recovered");
/// A sink refuses some entries for good.
const REJECTED: Code = Code::new("audit.sink_rejected");

/// The longest pause that another side can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

pub(super) struct Run {
    /// The folder and the cursor.
    place: (PathBuf, PathBuf),
    /// Gone while it is read from on another thread, and after that failed.
    tail: Option<Tail>,
    sink: Box<dyn Sink>,
    settings: Settings,
    shared: Arc<Shared>,
    backoff: Backoff,
    /// How many entries are offered at once; fewer after they were too large.
    entries: usize,
    /// Whether the batch before had entries that were rejected.
    rejecting: bool,
}

/// What came of looking for entries.
enum Step {
    Nothing,
    Offered,
}

impl Run {
    pub(super) fn new(
        place: (PathBuf, PathBuf),
        tail: Tail,
        sink: Box<dyn Sink>,
        settings: Settings,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            place,
            tail: Some(tail),
            sink,
            shared,
            backoff: Backoff::new(settings.first_wait, settings.longest_wait),
            entries: settings.entries,
            rejecting: false,
            settings,
        }
    }

    pub(super) async fn run(mut self) {
        let mut over = Over {
            shared: Arc::clone(&self.shared),
            complete: false,
        };
        let missed = self.shared.status.borrow().missed;
        self.tell_missed(missed);
        loop {
            match self.step().await {
                Ok(Step::Nothing) if self.is_stopping() => break,
                Ok(Step::Nothing) => self.wait(self.settings.poll).await,
                Ok(Step::Offered) => {}
                Err(error) => self.pause(&error).await,
            }
        }
        over.complete = true;
    }

    /// Offers one batch.
    async fn step(&mut self) -> Result<Step, SinkError> {
        let tail = match self.tail.take() {
            Some(tail) if tail.has_more() => tail,
            tail => self.read(tail).await?,
        };
        let entries = tail.loaded(self.entries, self.settings.bytes);
        let count = entries.len();
        if count == 0 {
            self.tail = Some(tail);
            self.recovered();
            self.shared.set(|status| status.state = DeliveryState::Idle);
            return Ok(Step::Nothing);
        }
        self.shared
            .set(|status| status.state = DeliveryState::Delivering);
        let deadline = self.settings.deadline;
        let delivering = self.sink.deliver(Batch::new(tail.origin(), entries));
        let answer = timeout(deadline, delivering).await.unwrap_or_else(|_| {
            let late = format!("no answer within {deadline:?}");
            Err(SinkError::new(SinkErrorKind::Unavailable, late))
        });
        let accepted = match answer {
            Ok(accepted) => accepted,
            Err(error) => {
                self.tail = Some(tail);
                if error.kind() != SinkErrorKind::TooLarge || count == 1 {
                    return Err(error);
                }
                // Nothing is wrong with the sink: the next batch is half of this one.
                self.entries = count / 2;
                let now = self.settings.clock.wall();
                self.shared.set(|status| status.retried(&error, now));
                return Ok(Step::Offered);
            }
        };
        self.keep(tail, count).await?;
        self.succeeded(count, &accepted);
        Ok(Step::Offered)
    }

    /// Reads more, from a tail that is opened again if the last one failed.
    async fn read(&mut self, tail: Option<Tail>) -> Result<Tail, SinkError> {
        let (folder, cursor) = self.place.clone();
        let is_new = tail.is_none();
        let tail = on_a_thread(move || {
            let mut tail = match tail {
                Some(tail) => tail,
                None => Tail::open(folder, cursor)?,
            };
            tail.load()?;
            Ok(tail)
        });
        let tail = tail.await?;
        if is_new {
            let before = self.shared.status.borrow().position;
            // From where it was to where it is: less if a batch was delivered and not noted.
            let missed = tail.missed().min(tail.position().saturating_sub(before));
            self.shared.set(|status| {
                status.missed += missed;
                status.position = tail.position();
            });
            self.tell_missed(missed);
        }
        Ok(tail)
    }

    /// Notes that the sink has the next entries.
    async fn keep(&mut self, mut tail: Tail, count: usize) -> Result<(), SinkError> {
        let kept = on_a_thread(move || {
            let kept = tail.taken(count);
            Ok((tail, kept))
        });
        let (tail, kept) = kept.await?;
        self.tail = Some(tail);
        kept.map_err(|error| SinkError::new(SinkErrorKind::Ledger, error))
    }

    fn succeeded(&mut self, count: usize, accepted: &Accepted) {
        let position = self.tail.as_ref().map(Tail::position);
        let now = self.settings.clock.wall();
        self.shared.set(|status| {
            status.position = position.unwrap_or(status.position);
            status.delivered += count as u64;
            status.rejected += accepted.rejected;
            if accepted.remark.is_some() {
                status.last_remark.clone_from(&accepted.remark);
            }
            status.last_success = Some(now);
        });
        self.recovered();
        // Slowly back to where it was, so that a limit is not run into at every other batch.
        let more = self.entries.saturating_add(self.entries / 16 + 1);
        self.entries = more.min(self.settings.entries);
        // Told when it begins: told each time, it would feed itself through the log.
        let rejecting = accepted.rejected > 0;
        if rejecting && !self.rejecting {
            let remark = accepted.remark.as_deref().unwrap_or_default();
            let detail = format!("{} of {count}: {remark}", accepted.rejected);
            self.tell(LifecycleKind::SourceFailed, REJECTED, &detail);
        }
        self.rejecting = rejecting;
    }

    /// Notes that nothing is wrong any more.
    fn recovered(&mut self) {
        let before = self.shared.status.borrow().failures;
        self.backoff.reset();
        if before > 0 {
            self.shared.set(|status| status.failures = 0);
            let detail = format!("after {before} failures");
            self.tell(LifecycleKind::SourceRefreshed, RECOVERED, &detail);
        }
    }

    /// Notes a failure, and waits.
    async fn pause(&mut self, error: &SinkError) {
        let now = self.settings.clock.wall();
        self.shared.set(|status| status.failed(error, now));
        if self.shared.status.borrow().failures == 1 {
            self.tell(LifecycleKind::SourceFailed, FAILED, error);
        }
        let pause = match error.kind() {
            // Somebody has to do something first.
            SinkErrorKind::Conflict
            | SinkErrorKind::Refused
            | SinkErrorKind::TooLarge
            | SinkErrorKind::Unreadable => {
                bartizan_source::spread(self.settings.longest_wait, random())
            }
            _ => self.backoff.next(random()),
        };
        let asked = error.retry_after().unwrap_or_default().min(LONGEST_PAUSE);
        self.wait(pause.max(asked)).await;
    }

    /// Waits for so long, or until the delivery is to end.
    async fn wait(&mut self, span: Duration) {
        let mut stop = self.shared.stop.subscribe();
        if *stop.borrow_and_update() {
            // Whoever ends the delivery says for how long it may be tried.
            tokio::time::sleep(span.min(Duration::from_secs(1))).await;
            return;
        }
        if let Ok(Ok(())) = timeout(span, stop.changed()).await {
            self.backoff.reset();
        }
    }

    fn is_stopping(&self) -> bool {
        *self.shared.stop.borrow()
    }

    fn tell_missed(&self, missed: u64) {
        if missed > 0 {
            let detail = format!("{missed} entries were pruned before they were delivered");
            self.tell(LifecycleKind::SourceFailed, MISSED, &detail);
        }
    }

    fn tell(&self, kind: LifecycleKind, code: Code, detail: &(dyn fmt::Display + Sync)) {
        if let Some(observer) = &self.settings.observer {
            let event = LifecycleEvent::new("audit", kind, code)
                .with_subject(&self.settings.name)
                .with_detail(detail);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

impl Shared {
    fn set(&self, change: impl FnOnce(&mut DeliveryStatus)) {
        self.status.send_modify(change);
    }
}

/// Says that the task is over, whichever way it ended.
struct Over {
    shared: Arc<Shared>,
    complete: bool,
}

impl Drop for Over {
    fn drop(&mut self) {
        let complete = self.complete;
        self.shared
            .set(|status| status.state = DeliveryState::Ended { complete });
    }
}

/// Reads or writes files on a thread that may block.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SinkError> {
    let failed = |error: &dyn fmt::Display| SinkError::new(SinkErrorKind::Ledger, error);
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}
