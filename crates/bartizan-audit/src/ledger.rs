//! The ledger of a running service: takes events from everywhere, and has one thread write them.

mod buffer;
mod config;
mod intake;
mod keeper;
#[cfg(all(test, bartizan_loom))]
mod model;
mod receipt;
mod refusals;
mod run;
mod spare;
mod times;

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bartizan_core::{Clock, Code, Event, LifecycleEvent, LifecycleKind, Observe};

use self::buffer::Buffer;
use self::config::LedgerSettings;
pub use self::config::{LedgerBuilder, Retention};
use self::keeper::Keeper;
pub(crate) use self::receipt::Receipt;
use self::receipt::Waiters;
use self::run::Run;
use self::spare::Spare;
use self::times::{Times, nanoseconds};
use crate::record::{RecoveredRecord, Totals};
use crate::storage::{Disk, Storage};
use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering, PoisonError, wait_timeout};
use crate::writer::{OpenError, Writer};

pub(crate) use self::buffer::NotTaken;
pub(crate) use self::intake::{Begun, Ends};

/// A tamper-evident, durable log of events, in a folder of its own.
///
/// Clones are handles to the same ledger. End it with [`shutdown`](Self::shutdown): when the last
/// handle is dropped without it, what waits is written, and the thread is waited for.
#[derive(Clone)]
pub struct Ledger(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
}

/// What handles and thread share.
struct Shared {
    origin: String,
    buffer: Mutex<Buffer>,
    wake: Condvar,
    waiters: Waiters,
    settings: LedgerSettings,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
    times: Times,
    /// How many requests have begun.
    begun: AtomicU64,
    published: Mutex<(u64, Arc<str>)>,
    spare: Option<Spare>,
    keeper: Keeper,
    disk: Disk,
    end: Mutex<End>,
    ended: Condvar,
}

#[derive(Default)]
struct End {
    /// When the run ends although requests are still under way.
    deadline: Option<bartizan_core::MonotonicTime>,
    report: Option<LedgerReport>,
    wakers: Vec<Waker>,
}

/// What became of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LedgerReport {
    /// What became of its events: `accepted = durable + lost`.
    pub totals: Totals,
    /// Whether the run's end is durable in the ledger.
    pub complete: bool,
    /// How many entries the ledger has.
    pub entries: u64,
    /// The last checkpoint, as a signed note: keep it elsewhere, and nobody can cut the ledger
    /// unnoticed.
    pub checkpoint: String,
    /// What was repaired when the run began, if the run before did not end in order.
    pub recovered: Option<RecoveredRecord>,
}

impl Ledger {
    /// Begins to describe the ledger in this folder. `origin` names the log in its checkpoints,
    /// for all time and uniquely, such as `orders.example.com/audit`.
    pub fn builder(folder: impl AsRef<Path>, origin: &str) -> LedgerBuilder {
        LedgerBuilder::new(folder.as_ref(), origin)
    }

    fn start(builder: LedgerBuilder) -> Result<Self, LedgerError> {
        if crate::note::VerifierKey::new(&builder.writer.origin, [9; 32]).is_err() {
            return Err(LedgerError::setting(
                "the origin is empty, or has spaces or plus signs",
            ));
        }
        let disk = Disk::new(&builder.folder);
        disk.make_folder().map_err(OpenError::Io)?;
        let lock = disk.lock().map_err(|error| LedgerError {
            kind: LedgerErrorKind::InUse,
            text: "another process has the ledger".to_owned(),
            cause: Some(error),
        })?;
        let spare = Spare::begin(
            disk.clone(),
            builder.writer.segment_bytes,
            builder.settings.spare_segments,
        );
        let spare = spare.map_err(OpenError::Io)?;
        let started = Self::start_on(disk, builder, Some((spare.clone(), lock)));
        if started.is_err() {
            spare.end();
        }
        started
    }

    fn start_on(
        disk: Disk,
        builder: LedgerBuilder,
        kept: Option<(Spare, File)>,
    ) -> Result<Self, LedgerError> {
        let spare = kept.as_ref().map(|(spare, _)| spare.clone());
        let shared = Arc::new(Shared::new(&builder, disk.clone(), spare));
        let now = nanoseconds(&*shared.clock);
        let (mut writer, recovered) = Writer::open(disk.clone(), builder.writer, now)?;
        if let Some((spare, _)) = &kept {
            let (spare, keeper) = (spare.clone(), shared.keeper.clone());
            writer.set_spare(Box::new(move || {
                keeper.wake();
                spare.take()
            }));
        }
        shared.publish(&writer);
        let began = shared.keeper.begin(Arc::clone(&shared), disk);
        began.map_err(OpenError::Io)?;
        let (thread, keeper) = (Arc::clone(&shared), shared.keeper.clone());
        let spawned = std::thread::Builder::new()
            .name("audit-ledger".to_owned())
            .spawn(move || {
                // Whoever waits for the end learns of it, also if this panics.
                let over = Over(&thread);
                let report = Run::new(&thread, writer).run(recovered);
                // Whoever learns of the end may open the ledger again at once.
                thread.keeper.end();
                if let Some((spare, lock)) = kept {
                    spare.end();
                    drop(lock);
                }
                thread.end(report);
                drop(over);
            });
        spawned.map_err(|error| {
            keeper.end();
            OpenError::Io(error)
        })?;
        Ok(Self(Arc::new(Handle { shared })))
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.shared.origin
    }

    /// How many entries are durable, and the checkpoint over them as a signed note. Publish it
    /// where whoever can change the ledger cannot.
    #[must_use]
    pub fn checkpoint(&self) -> (u64, Arc<str>) {
        let published = self.0.shared.published.lock();
        published.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many prepared segments there are.
    #[must_use]
    pub fn spare_segments(&self) -> usize {
        self.0.shared.spare.as_ref().map_or(0, Spare::ready)
    }

    /// What has become of the run's events so far. What is neither durable nor lost is under way.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.0.shared.buffer().totals()
    }

    /// Ends the run: waits for requests under way, at most for `patience`; writes what waits;
    /// writes the end and its checkpoint; and reports. Repeating it gives the same report.
    ///
    /// Drop or end the server first, so that no new requests arrive: what comes later is counted
    /// as lost.
    pub async fn shutdown(&self, patience: Duration) -> LedgerReport {
        self.close(patience);
        std::future::poll_fn(|cx| {
            let mut end = self.0.shared.end_state();
            match &end.report {
                Some(report) => std::task::Poll::Ready(report.clone()),
                None => {
                    end.wakers.push(cx.waker().clone());
                    std::task::Poll::Pending
                }
            }
        })
        .await
    }

    /// As [`shutdown`](Self::shutdown), for a thread that may block.
    pub fn shutdown_blocking(&self, patience: Duration) -> LedgerReport {
        self.close(patience);
        self.0.shared.wait_for_end()
    }

    fn close(&self, patience: Duration) {
        self.0.shared.close(patience);
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        self.0.shared.disk.folder()
    }

    /// Tells the ledger's observer of something.
    pub(crate) fn tell(&self, kind: LifecycleKind, code: Code, detail: &(dyn fmt::Display + Sync)) {
        self.0.shared.tell(kind, code, detail);
    }

    fn waiters(&self) -> &Waiters {
        &self.0.shared.waiters
    }
}

impl Shared {
    fn new(builder: &LedgerBuilder, disk: Disk, spare: Option<Spare>) -> Self {
        Self {
            origin: builder.writer.origin.clone(),
            buffer: Mutex::new(Buffer::new(builder.settings.buffer_bytes)),
            wake: Condvar::new(),
            waiters: Waiters::default(),
            settings: builder.settings.clone(),
            times: Times::new(&*builder.clock),
            clock: Arc::clone(&builder.clock),
            observer: builder.observer.clone(),
            begun: AtomicU64::new(0),
            published: Mutex::new((0, Arc::from(""))),
            spare,
            keeper: Keeper::default(),
            disk,
            end: Mutex::new(End::default()),
            ended: Condvar::new(),
        }
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        // Whoever panicked while holding it had appended a whole frame or none.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_state(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish<S: Storage>(&self, writer: &Writer<S>) {
        *self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = (writer.size(), Arc::clone(writer.note()));
    }

    fn close(&self, patience: Duration) {
        let deadline = self.clock.monotonic().checked_add(patience);
        let mut end = self.end_state();
        end.deadline = end.deadline.or(deadline);
        drop(end);
        self.buffer().closing = true;
        self.wake.notify_one();
    }

    fn is_over(&self) -> bool {
        let deadline = self.end_state().deadline;
        deadline.is_some_and(|deadline| self.clock.monotonic() >= deadline)
    }

    /// Whether nothing is under way that a shutdown waits for.
    fn is_idle(&self, buffer: &Buffer) -> bool {
        self.begun.load(Ordering::Acquire) == buffer.ended() || self.is_over()
    }

    /// Lets go of the buffer until somebody wakes the writer, for at most so long.
    fn doze<'s>(
        &'s self,
        buffer: MutexGuard<'s, Buffer>,
        pause: Duration,
    ) -> MutexGuard<'s, Buffer> {
        wait_timeout(&self.wake, &self.buffer, buffer, pause)
    }

    /// Waits before the storage is tried again. Says whether it is to be tried: not once the run
    /// has to end.
    fn pause(&self, pause: Duration) -> bool {
        let mut buffer = self.buffer();
        buffer.failing = true;
        if buffer.closing && self.is_over() {
            return false;
        }
        drop(self.doze(buffer, pause));
        true
    }

    fn end(&self, report: LedgerReport) {
        let mut end = self.end_state();
        end.report = Some(report);
        let wakers = std::mem::take(&mut end.wakers);
        drop(end);
        self.ended.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn wait_for_end(&self) -> LedgerReport {
        let mut end = self.end_state();
        loop {
            if let Some(report) = &end.report {
                return report.clone();
            }
            end = self.ended.wait(end).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn tell(&self, kind: LifecycleKind, code: Code, detail: &(dyn fmt::Display + Sync)) {
        if let Some(observer) = &self.observer {
            let event = LifecycleEvent::new("audit", kind, code)
                .with_subject(&self.origin)
                .with_detail(detail);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

/// Sees to it that a run has a report, whichever way it ends.
struct Over<'s>(&'s Shared);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if self.0.end_state().report.is_some() {
            return;
        }
        let mut totals = {
            let mut buffer = self.0.buffer();
            buffer.closed = true;
            buffer.totals()
        };
        totals.lost = totals.accepted.saturating_sub(totals.durable);
        let published = self.0.published.lock();
        let (entries, checkpoint) = published.unwrap_or_else(PoisonError::into_inner).clone();
        self.0.end(LedgerReport {
            totals,
            complete: false,
            entries,
            checkpoint: checkpoint.to_string(),
            recovered: None,
        });
    }
}

/// What waits is written; how long that can take is bounded.
impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close(Duration::from_secs(2));
        self.shared.wait_for_end();
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("origin", &self.origin())
            .field("totals", &self.totals())
            .finish_non_exhaustive()
    }
}

/// Why a ledger could not be opened.
#[derive(Debug)]
pub struct LedgerError {
    kind: LedgerErrorKind,
    text: String,
    cause: Option<std::io::Error>,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LedgerErrorKind {
    /// Another process has the ledger.
    InUse,
    /// The key file is missing or damaged, or holds no key of the ledger.
    Keys,
    /// A setting cannot work, or the folder holds another log.
    Setting,
    /// The storage failed.
    Storage,
    /// The ledger was changed or cut, in a way that no crash explains. Keep it, verify it, and
    /// begin another one in another folder.
    Tampered,
}

impl LedgerError {
    fn setting(text: &str) -> Self {
        Self {
            kind: LedgerErrorKind::Setting,
            text: text.to_owned(),
            cause: None,
        }
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> LedgerErrorKind {
        self.kind
    }
}

impl From<OpenError> for LedgerError {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Damaged { .. } | OpenError::Truncated { .. } => LedgerErrorKind::Tampered,
            OpenError::Io(_) | OpenError::NoRandomness => LedgerErrorKind::Storage,
            OpenError::Keys => LedgerErrorKind::Keys,
            OpenError::Origin(_) => LedgerErrorKind::Setting,
        };
        let text = error.to_string();
        let cause = match error {
            OpenError::Io(cause) => Some(cause),
            _ => None,
        };
        Self { kind, text, cause }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger cannot be opened: {}", self.text)
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests;
