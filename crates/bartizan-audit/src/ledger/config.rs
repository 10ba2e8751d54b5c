//! How a ledger is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Observe, SystemClock};

use super::{Ledger, LedgerError};
use crate::writer::WriterSettings;

/// Describes a [`Ledger`]; made by [`Ledger::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | segment | 64 MiB | some 200,000 records; written in seconds, verified in a fraction of one |
/// | prepared segments | 1 | the next one, while the last is written; more for bursts |
/// | buffer | 16 MiB | 100 ms of half a million events a second: a disk may be away for as long |
/// | flush | 5 ms | what a killed process can lose of class buffered; far above what a sync takes |
/// | heartbeat | 60 s | how long silence takes to be noticed |
/// | retention | for ever | what has to be kept, and for how long, only the user can know |
/// | epoch | 1 day or 10 million entries | how far back somebody who breaks in can forge |
#[derive(Clone)]
#[must_use = "call open to get the ledger"]
pub struct LedgerBuilder {
    pub(super) folder: PathBuf,
    pub(super) writer: WriterSettings,
    pub(super) settings: LedgerSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observe>>,
}

#[derive(Clone, Debug)]
pub(super) struct LedgerSettings {
    pub(super) buffer_bytes: usize,
    pub(super) spare_segments: usize,
    pub(super) flush_interval: Duration,
    pub(super) heartbeat: Duration,
    pub(super) retention: Retention,
}

/// How long the bodies of entries are kept; their hashes are kept for ever, 32 bytes each.
///
/// Whole segments are removed, the oldest first, once all of their entries are older than they may
/// be, or the segments are more bytes than they may be. That is looked at every minute and with
/// each new segment. The segment that is being written stays in any case.
///
/// A sink that has not had the entries yet will not get them: keep them for longer than the longest
/// time that one may be away.
#[derive(Clone, Debug, Default)]
#[must_use = "give it to a ledger"]
pub struct Retention {
    pub(super) age: Option<Duration>,
    pub(super) bytes: Option<u64>,
}

impl Retention {
    /// Keeps everything for ever.
    pub fn forever() -> Self {
        Self::default()
    }

    /// Keeps no entries that are older than this.
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Keeps no more than so many bytes of finished segments.
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }
}

/// The smallest segment, in bytes: a header, the longest record and a checkpoint.
const SMALLEST_SEGMENT: u64 = 128 * 1024;

/// The smallest buffer, in bytes: two of the longest records.
const SMALLEST_BUFFER: usize = 256 * 1024;

impl LedgerBuilder {
    pub(super) fn new(folder: &Path, origin: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            writer: WriterSettings {
                origin: origin.to_owned(),
                service: origin.to_owned(),
                detail: String::new(),
                segment_bytes: 64 * 1024 * 1024,
                epoch_leaves: 10_000_000,
                epoch_nanoseconds: 24 * 60 * 60 * 1_000_000_000,
            },
            settings: LedgerSettings {
                buffer_bytes: 16 * 1024 * 1024,
                spare_segments: 1,
                flush_interval: Duration::from_millis(5),
                heartbeat: Duration::from_secs(60),
                retention: Retention::forever(),
            },
            clock: Arc::new(SystemClock),
            observer: None,
        }
    }

    /// Replaces the service's name, which every run's first record carries; by default the
    /// ledger's origin.
    pub fn with_service(mut self, service: &str) -> Self {
        service.clone_into(&mut self.writer.service);
        self
    }

    /// Replaces what the first record says of the run beside that: a version, an instance, the
    /// policy in force. At most 255 bytes.
    pub fn with_detail(mut self, detail: &str) -> Self {
        detail.clone_into(&mut self.writer.detail);
        self
    }

    /// Replaces how large a segment is, in bytes.
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.writer.segment_bytes = bytes;
        self
    }

    /// Replaces how many segments are kept ready, filled with zeros. They take the disk that later
    /// records take, ahead of time: so many segments can be written on a disk that runs full.
    pub fn with_spare_segments(mut self, count: usize) -> Self {
        self.settings.spare_segments = count;
        self
    }

    /// Replaces how many bytes of events may wait for the writer. There are two such buffers.
    pub fn with_buffer_bytes(mut self, bytes: usize) -> Self {
        self.settings.buffer_bytes = bytes;
        self
    }

    /// Replaces how long an event waits at most before it is written, if nobody waits for it.
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.settings.flush_interval = interval;
        self
    }

    /// Replaces how long nothing may happen before that is written down.
    pub fn with_heartbeat(mut self, interval: Duration) -> Self {
        self.settings.heartbeat = interval;
        self
    }

    /// Replaces when a signing key is replaced: after so many entries, or so long, whichever comes
    /// first.
    pub fn with_epoch(mut self, entries: u64, length: Duration) -> Self {
        self.writer.epoch_leaves = entries;
        self.writer.epoch_nanoseconds = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// Replaces how long the bodies of entries are kept.
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Replaces the clock. Requests read its monotonic side, and its wall at most every 10 ms.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets who is told that the storage fails, that it works again, and that events were lost.
    /// Not an [`AuditObserver`](crate::AuditObserver) of the same ledger.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Opens the ledger: makes it if the folder is empty, continues it otherwise, and repairs what
    /// a crash left behind. The run's first record is durable once this returns.
    ///
    /// Blocks, for as long as it takes to write a segment of zeros. Call it before the service
    /// begins to serve.
    ///
    /// # Errors
    ///
    /// If a setting cannot work, the storage fails, another process has the ledger, or it was
    /// changed in a way that no crash explains.
    pub fn open(self) -> Result<Ledger, LedgerError> {
        let zero = self.settings.flush_interval.is_zero() || self.settings.heartbeat.is_zero();
        let retention = &self.settings.retention;
        let zero = zero || retention.age.is_some_and(|age| age.is_zero());
        if zero || self.writer.epoch_leaves == 0 || self.writer.epoch_nanoseconds == 0 {
            return Err(LedgerError::setting("an interval is zero"));
        }
        if self.writer.segment_bytes < SMALLEST_SEGMENT {
            return Err(LedgerError::setting("a segment has less than 128 KiB"));
        }
        if self.settings.buffer_bytes < SMALLEST_BUFFER {
            return Err(LedgerError::setting("a buffer has less than 256 KiB"));
        }
        if self.writer.origin.len() > 200 {
            return Err(LedgerError::setting("the origin is longer than 200 bytes"));
        }
        Ledger::start(self)
    }
}

impl std::fmt::Debug for LedgerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerBuilder")
            .field("folder", &self.folder)
            .field("writer", &self.writer)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
