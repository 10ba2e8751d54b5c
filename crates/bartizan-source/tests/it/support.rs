//! A folder, a clock and an observer for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Clock, Event, MonotonicTime, Observe, WallTime};
use tokio::time::Instant;

/// A folder of its own, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bartizan-source-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a fresh folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("folders");
        std::fs::write(&path, content).expect("writable");
        path
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("readable");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        };
        entries.map(name).collect()
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A clock that follows tokio's, which tests can pause.
#[derive(Debug)]
pub(crate) struct TokioClock {
    start: Instant,
}

impl TokioClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
        })
    }
}

impl Clock for TokioClock {
    fn wall(&self) -> WallTime {
        WallTime::from_unix_seconds(1_800_000_000) + self.start.elapsed()
    }

    fn monotonic(&self) -> MonotonicTime {
        MonotonicTime::from_instant(Instant::now().into_std())
    }
}

/// Writes down codes, subjects and details.
#[derive(Debug, Default)]
pub(crate) struct Notebook(Mutex<Vec<(String, String, String)>>);

impl Notebook {
    pub(crate) fn codes(&self) -> Vec<String> {
        self.0
            .lock()
            .expect("unpoisoned")
            .iter()
            .map(|(code, ..)| code.clone())
            .collect()
    }

    pub(crate) fn last(&self) -> (String, String, String) {
        self.0
            .lock()
            .expect("unpoisoned")
            .last()
            .cloned()
            .expect("an event")
    }
}

impl Observe for Notebook {
    fn observe(&self, event: &Event<'_>) {
        let Event::Lifecycle(event) = event else {
            panic!("not a lifecycle event: {event:?}")
        };
        assert_eq!(event.layer(), "source");
        self.0.lock().expect("unpoisoned").push((
            event.code().to_string(),
            event.subject().unwrap_or_default().to_owned(),
            event.detail().map(ToString::to_string).unwrap_or_default(),
        ));
    }
}

/// Lets the paused clock run on by `span`, step by step, so that tasks act at their own times.
pub(crate) async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}
