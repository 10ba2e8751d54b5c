//! What a delivery brings where, and how patiently.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Observe, SystemClock};
use tokio::runtime::Handle;

use crate::ledger::Ledger;
use crate::sink::Sink;
use crate::sink::delivery::Delivery;
use crate::sink::error::SinkConfigError;
use crate::tail::Tail;

/// Describes a [`Delivery`]; made by [`Delivery::builder`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | cursor | a file beside the segments, named as the delivery | it goes where the ledger goes |
/// | batch | 1,000 entries, 512 KiB | one transaction, one request; larger ones gain little |
/// | poll interval | 200 ms | nobody waits; a sink that costs a handshake may want more |
/// | backoff | 500 ms, doubling up to 60 s | a server that restarts is back in seconds; one that is gone is asked once a minute |
/// | deadline | 30 s per batch | a connection that hangs is given up, and another is made |
#[must_use = "call start to begin"]
pub struct DeliveryBuilder {
    folder: PathBuf,
    cursor: Option<PathBuf>,
    ledger: Option<Ledger>,
    sink: Box<dyn Sink>,
    settings: Settings,
}

/// What a delivery goes by.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: Arc<str>,
    pub(super) entries: usize,
    pub(super) bytes: usize,
    pub(super) poll: Duration,
    pub(super) first_wait: Duration,
    pub(super) longest_wait: Duration,
    pub(super) deadline: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observe>>,
}

impl DeliveryBuilder {
    pub(super) fn new(folder: &Path, name: &str, sink: Box<dyn Sink>) -> Self {
        Self {
            folder: folder.to_owned(),
            cursor: None,
            ledger: None,
            sink,
            settings: Settings {
                name: Arc::from(name),
                entries: 1000,
                bytes: 512 * 1024,
                poll: Duration::from_millis(200),
                first_wait: Duration::from_millis(500),
                longest_wait: Duration::from_secs(60),
                deadline: Duration::from_secs(30),
                clock: Arc::new(SystemClock),
                observer: None,
            },
        }
    }

    /// Replaces where the place is kept. Each delivery needs a file of its own.
    pub fn with_cursor(mut self, path: impl AsRef<Path>) -> Self {
        self.cursor = Some(path.as_ref().to_owned());
        self
    }

    /// Replaces how many entries, and how many bytes of them, are offered at once. An entry that
    /// is larger is offered alone.
    pub fn with_batch(mut self, entries: usize, bytes: usize) -> Self {
        self.settings.entries = entries;
        self.settings.bytes = bytes;
        self
    }

    /// Replaces how long to wait before looking for more entries when there are none.
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll = interval;
        self
    }

    /// Replaces how long to wait after failures: up to `first` after one, then doubling up to
    /// `longest`, each time a random part of it.
    pub fn with_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.settings.first_wait = first;
        self.settings.longest_wait = longest;
        self
    }

    /// Replaces how long one attempt may take.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Tells how far the ledger is, so that the status can say how far the sink is behind.
    pub fn with_ledger(mut self, ledger: &Ledger) -> Self {
        self.ledger = Some(ledger.clone());
        self
    }

    /// Replaces the clock by which failures are dated.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Tells this observer when the sink begins to fail, and when it is back. With an
    /// [`AuditObserver`](crate::AuditObserver) the log itself says so.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.settings.observer = Some(observer);
        self
    }

    /// Begins, as a task of the runtime this is called in. Blocks while it looks for the place,
    /// which takes as long as reading a segment at most.
    ///
    /// # Errors
    ///
    /// If there is no runtime, the name is no file name, a limit is zero, or the tail
    /// [cannot be opened](Tail::open).
    pub fn start(self) -> Result<Delivery, SinkConfigError> {
        let runtime = Handle::try_current().map_err(|_| SinkConfigError::NoRuntime)?;
        let settings = self.settings;
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if settings.name.is_empty() || !settings.name.chars().all(is_fit) {
            let reason = "it takes ascii letters, digits, hyphens and underscores";
            return Err(SinkConfigError::unusable("name", reason));
        }
        for (setting, is_zero) in [
            ("batch", settings.entries == 0 || settings.bytes == 0),
            ("poll interval", settings.poll.is_zero()),
            ("backoff", settings.longest_wait.is_zero()),
            ("deadline", settings.deadline.is_zero()),
        ] {
            if is_zero {
                return Err(SinkConfigError::Zero(setting));
            }
        }
        let cursor = self.cursor.unwrap_or_else(|| {
            let file = format!("{}.cursor", settings.name);
            self.folder.join(file)
        });
        let tail = Tail::open(&self.folder, &cursor)?;
        let place = (self.folder, cursor);
        Ok(Delivery::begin(
            &runtime,
            place,
            tail,
            self.sink,
            settings,
            self.ledger,
        ))
    }
}

impl fmt::Debug for DeliveryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryBuilder")
            .field("folder", &self.folder)
            .field("cursor", &self.cursor)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
