//! The task that polls, and the handle to it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::Clock;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::error::{BoxError, SourceError, SourceErrorKind};
use crate::files::set::{FileSet, Fingerprint, Fingerprints};
use crate::jitter::{random, spread};
use crate::published::{Published, Publisher};
use crate::report::Reporter;
use crate::status::Status;

/// Keeps a value in step with a set of files, by reading them again and again.
///
/// How it decides, at each reading:
///
/// 1. All files are read by their paths, so that symbolic links (Kubernetes swaps `..data`) and
///    renamed files are followed; a directory watch would miss some of these.
/// 2. If the contents are those of the last good version, nothing happens. Times and inode
///    numbers are never looked at.
/// 3. Otherwise the files are read again until two readings in a row agree.
/// 4. The parser gets the whole set. What it accepts is published; what it refuses is reported,
///    and the last good version stays.
///
/// Cheap to clone. The task ends when the last handle is gone: this one, its clones, and every
/// [`Published`] and subscription got from it.
pub struct FileSource<T> {
    published: Published<T>,
    commands: mpsc::Sender<Reply>,
    name: Arc<str>,
}

/// What an attempt to refresh led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refresh {
    /// A new version was published, with this generation.
    Published(u64),
    /// What is published is still right.
    Unchanged,
}

type Reply = oneshot::Sender<Result<Refresh, SourceError>>;
type Parse<T> = Box<dyn Fn(&FileSet) -> Result<T, BoxError> + Send + Sync>;

/// Everything that one reading needs; shared with the blocking thread that does it.
pub(super) struct Worker<T> {
    paths: Vec<PathBuf>,
    limit: usize,
    parse: Parse<T>,
    publisher: Publisher<T>,
    reporter: Reporter,
    fingerprints: Fingerprints,
    last_good: Mutex<Option<Fingerprint>>,
}

impl<T: Send + Sync + 'static> FileSource<T> {
    pub(super) fn spawn(
        worker: Worker<T>,
        interval: Duration,
        at_once: bool,
    ) -> Result<Self, SourceError> {
        let runtime = Handle::try_current().map_err(|error| {
            let message = "a file source needs a tokio runtime";
            SourceError::caused(SourceErrorKind::NoRuntime, message, error)
        })?;
        let (commands, receiver) = mpsc::channel(16);
        let published = worker
            .publisher
            .published_kept_by(Arc::new(commands.clone()));
        let name = Arc::from(worker.reporter.name());
        runtime.spawn(poll(Arc::new(worker), receiver, interval, at_once));
        Ok(Self {
            published,
            commands,
            name,
        })
    }

    /// The value, to be handed to whoever uses it.
    pub fn published(&self) -> Published<T> {
        self.published.clone()
    }

    /// How the source fares.
    pub fn status(&self) -> Status {
        self.published.status()
    }

    /// Reads the files now, rather than at the next turn: after a SIGHUP, or in a test. The
    /// reading begins after this was called, even if another is under way.
    ///
    /// # Errors
    ///
    /// Whatever kept the source from publishing; the last good version stays.
    pub async fn refresh_now(&self) -> Result<Refresh, SourceError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(reply).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl<T> Clone for FileSource<T> {
    fn clone(&self) -> Self {
        Self {
            published: self.published.clone(),
            commands: self.commands.clone(),
            name: Arc::clone(&self.name),
        }
    }
}

impl<T> fmt::Debug for FileSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSource")
            .field("name", &self.name)
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl<T> Worker<T> {
    pub(super) fn new(
        paths: Vec<PathBuf>,
        limit: usize,
        parse: Parse<T>,
        clock: Arc<dyn Clock>,
        reporter: Reporter,
    ) -> Self {
        Self {
            paths,
            limit,
            parse,
            publisher: Publisher::new(clock),
            reporter,
            fingerprints: Fingerprints::new(),
            last_good: Mutex::new(None),
        }
    }

    /// Reads, parses, publishes, and tells the observer. Blocks.
    pub(super) fn check(&self) -> Result<Refresh, SourceError> {
        let result = self.read_and_publish();
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    fn read_and_publish(&self) -> Result<Refresh, SourceError> {
        let known = *self
            .last_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let read = FileSet::read_if_changed(&self.paths, self.limit, &self.fingerprints, known)?;
        let Some((set, fingerprint)) = read else {
            let was_failing = self.publisher.published().status().is_failing();
            self.publisher.confirm();
            if was_failing {
                self.reporter.recovered();
            }
            return Ok(Refresh::Unchanged);
        };
        let value = (self.parse)(&set).map_err(|error| {
            SourceError::caused(SourceErrorKind::Invalid, "content refused", error)
        })?;
        *self
            .last_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        let generation = self.publisher.publish(value);
        self.reporter.refreshed(generation);
        Ok(Refresh::Published(generation))
    }

    fn fail(&self, error: &SourceError) {
        self.publisher.fail(error.whole_message());
        self.reporter.failed(error);
    }
}

async fn poll<T: Send + Sync + 'static>(
    worker: Arc<Worker<T>>,
    mut commands: mpsc::Receiver<Reply>,
    interval: Duration,
    at_once: bool,
) {
    let mut pause = if at_once {
        Duration::ZERO
    } else {
        spread(interval, random())
    };
    loop {
        let mut waiting = Vec::new();
        match timeout(pause, commands.recv()).await {
            Ok(Some(reply)) => {
                waiting.push(reply);
                // Whoever has asked by now is served by the same reading.
                while let Ok(reply) = commands.try_recv() {
                    waiting.push(reply);
                }
            }
            Ok(None) => return,
            Err(_elapsed) => {}
        }
        let Some(result) = check_off_thread(&worker).await else {
            return;
        };
        for reply in waiting {
            // The one who asked may have gone away.
            let _ = reply.send(result.clone());
        }
        pause = spread(interval, random());
    }
}

/// Runs one check on a blocking thread. `None` if the runtime is shutting down.
async fn check_off_thread<T: Send + Sync + 'static>(
    worker: &Arc<Worker<T>>,
) -> Option<Result<Refresh, SourceError>> {
    let shared = Arc::clone(worker);
    match tokio::task::spawn_blocking(move || shared.check()).await {
        Ok(result) => Some(result),
        Err(error) if error.is_panic() => {
            let error = SourceError::new(SourceErrorKind::Panicked, "the parser panicked");
            worker.fail(&error);
            Some(Err(error))
        }
        Err(_cancelled) => None,
    }
}

fn stopped() -> SourceError {
    SourceError::new(SourceErrorKind::Stopped, "the source's task has ended")
}
