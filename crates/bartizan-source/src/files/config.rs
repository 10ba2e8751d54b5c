//! What to read, how often, and what to tell whom.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Observe, SystemClock};

use crate::error::{BoxError, ConfigError, SourceError};
use crate::files::set::FileSet;
use crate::files::source::{FileSource, Worker};
use crate::report::Reporter;

/// Describes a [`FileSource`].
///
/// | setting | default | reason |
/// |---|---|---|
/// | interval | 10 s | a rotated certificate is used long before the old one expires, and reading a few small files costs next to nothing |
/// | file limit | 1 MiB | a bundle of some hundred certificates; more is a mistake |
#[derive(Clone, Debug)]
#[must_use = "a description does nothing until it is loaded or started"]
pub struct FileSourceBuilder {
    pub(super) name: Arc<str>,
    pub(super) paths: Vec<PathBuf>,
    pub(super) interval: Duration,
    pub(super) file_limit: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observe>>,
}

impl FileSourceBuilder {
    /// A source with this name, such as `mtls.identity`: it appears as the subject of events.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            paths: Vec::new(),
            interval: Duration::from_secs(10),
            file_limit: 1 << 20,
            clock: Arc::new(SystemClock),
            observer: None,
        }
    }

    /// Adds a file. All files of a source are read together; the parser finds this one under the
    /// same path. The path is resolved anew each time, so it may lead through symbolic links.
    pub fn add_file(mut self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        // One file may hold two things, such as a certificate and its key.
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
        self
    }

    /// How long to wait between two readings; each wait is spread by a tenth either way.
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many bytes one file may have.
    pub fn with_file_limit(mut self, bytes: usize) -> Self {
        self.file_limit = bytes;
        self
    }

    /// The clock that dates versions and failures. Waiting is tokio's business.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Who is told of new versions and failures.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Reads and parses the files now, and keeps them up to date from then on: for a service that
    /// must not start on bad material.
    ///
    /// The first reading happens on the calling thread, before this returns. Later ones, and the
    /// parser, run on tokio's blocking threads. What `parse` returns as an error is shown to
    /// operators, and must not quote secrets.
    ///
    /// # Errors
    ///
    /// If a setting cannot work, a file cannot be read, the parser refuses, or there is no tokio
    /// runtime to work in.
    pub fn load<T, E, P>(self, parse: P) -> Result<FileSource<T>, SourceError>
    where
        T: Send + Sync + 'static,
        E: Into<BoxError>,
        P: Fn(&FileSet) -> Result<T, E> + Send + Sync + 'static,
    {
        let interval = self.interval;
        let worker = self.worker(parse)?;
        worker.check()?;
        FileSource::spawn(worker, interval, false)
    }

    /// Begins empty, and reads as soon as the runtime gets to it: for material that may arrive
    /// later, such as a certificate that is still being issued. Meanwhile readers find nothing.
    ///
    /// # Errors
    ///
    /// If a setting cannot work, or there is no tokio runtime to work in.
    pub fn start<T, E, P>(self, parse: P) -> Result<FileSource<T>, SourceError>
    where
        T: Send + Sync + 'static,
        E: Into<BoxError>,
        P: Fn(&FileSet) -> Result<T, E> + Send + Sync + 'static,
    {
        let interval = self.interval;
        FileSource::spawn(self.worker(parse)?, interval, true)
    }

    fn worker<T, E, P>(self, parse: P) -> Result<Worker<T>, ConfigError>
    where
        E: Into<BoxError>,
        P: Fn(&FileSet) -> Result<T, E> + Send + Sync + 'static,
    {
        ConfigError::require_positive("interval", self.interval)?;
        if self.paths.is_empty() {
            return Err(ConfigError::NoFiles);
        }
        if self.file_limit == 0 {
            return Err(ConfigError::ZeroLimit {
                setting: "file_limit",
            });
        }
        let reporter = Reporter::new(self.name, self.observer);
        let parse = Box::new(move |set: &FileSet| parse(set).map_err(Into::into));
        Ok(Worker::new(
            self.paths,
            self.file_limit,
            parse,
            self.clock,
            reporter,
        ))
    }
}
