//! Where the keys come from, and how they stay up to date.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, MonotonicTime, Observe};
use bartizan_source::{
    BoxError, FileSet, FileSource, FileSourceBuilder, Forced, Published, RefreshAhead,
    RefreshAheadBuilder, SourceError, Status,
};
use tokio::time::{sleep, timeout};

use crate::file;
use crate::source::{IgnoredKey, KeyRead, KeySource};
use crate::table::{KeyTable, TableRules};
use crate::usage::Uses;

/// A record was left out: it is none, or its hash is under a pepper that is not given.
const KEY_IGNORED: Code = Code::new("apikey.key_ignored");

/// The keys that requests are held against.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    /// Given once.
    Fixed(KeyTable),
    /// Fetched, and fetched again.
    Remote(RefreshAhead<KeyTable>),
    /// Read from a file, and read again.
    Watched(Published<KeyTable>),
}

/// What an attempt to get newer keys came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Renewal {
    /// The store was asked after the request had come: a key that is not among its own does not
    /// exist.
    Current,
    /// The store could not be asked, or did not answer in time.
    Failed,
}

impl Keys {
    /// Looks at the keys, or at nothing if there are none that may still be relied on.
    pub(crate) fn read<R>(&self, look: impl FnOnce(Option<&KeyTable>) -> R) -> R {
        match self {
            Self::Fixed(keys) => look(Some(keys)),
            Self::Remote(keys) => keys.read(|version| look(version.ok().map(|it| it.value()))),
            Self::Watched(keys) => keys.read(|version| look(version.map(|it| it.value()))),
        }
    }

    /// How the source fares; `None` for keys that were given once.
    pub(crate) fn status(&self) -> Option<Status> {
        match self {
            Self::Fixed(_) => None,
            Self::Remote(keys) => Some(keys.status()),
            Self::Watched(keys) => Some(keys.status()),
        }
    }

    /// Asks the store once more, waiting for at most `patience`; `None` if that is of no use.
    ///
    /// Joins a reading that is under way, and starts one at most once per cool-down: made-up keys
    /// cost the store no more than that.
    pub(crate) fn renew(
        &self,
        arrived: MonotonicTime,
        patience: Duration,
    ) -> Option<impl Future<Output = Renewal> + Send + use<>> {
        let Self::Remote(keys) = self else {
            return None;
        };
        let keys = keys.clone();
        Some(async move {
            let renewal = timeout(patience, renew(&keys, arrived)).await;
            renewal.unwrap_or(Renewal::Failed)
        })
    }
}

async fn renew(keys: &RefreshAhead<KeyTable>, arrived: MonotonicTime) -> Renewal {
    loop {
        let Ok(forced) = keys.force().await else {
            return Renewal::Failed;
        };
        let is_current = || keys.asked_at().is_some_and(|asked| asked >= arrived);
        match forced {
            // The last attempt was made a moment ago, and failed.
            Forced::RateLimited { .. } if keys.status().is_failing() => return Renewal::Failed,
            _ if is_current() => return Renewal::Current,
            // The key may have been made since the store was last asked: it is asked again as soon
            // as it may be, once for all who wait.
            Forced::RateLimited { retry_after } => sleep(retry_after).await,
            // A reading was joined that had begun before the request came: once more.
            _ => {}
        }
    }
}

/// Makes tables of records, and tells of what is left out.
#[derive(Clone, Debug)]
pub(crate) struct Maker {
    pub(crate) rules: TableRules,
    pub(crate) uses: Arc<Uses>,
    pub(crate) observer: Option<Arc<dyn Observe>>,
}

/// Reads keys from a file.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    pub(crate) path: PathBuf,
    pub(crate) files: FileSourceBuilder,
}

impl Watcher {
    fn parse(self, maker: Maker) -> (FileSourceBuilder, impl Fn(&FileSet) -> Parsed) {
        let Self { path, files } = self;
        let parse = move |set: &FileSet| {
            let records = file::parse(set.get(&path).unwrap_or_default())?;
            let table = KeyTable::new(&maker.rules, records, &maker.uses)?;
            match table.unusable().first() {
                // Somebody wrote this file for this service: that is a mistake to be told.
                Some(id) => Err(crate::error::ConfigError::UnknownPepper(*id).into()),
                None => Ok(table),
            }
        };
        (files, parse)
    }

    /// Reads once before it returns.
    pub(crate) fn load(self, maker: Maker) -> Result<Keys, SourceError> {
        let (files, parse) = self.parse(maker);
        files.load(parse).map(|source| watched(&source))
    }

    /// Begins without keys.
    pub(crate) fn start(self, maker: Maker) -> Result<Keys, SourceError> {
        let (files, parse) = self.parse(maker);
        files.start(parse).map(|source| watched(&source))
    }
}

type Parsed = Result<KeyTable, BoxError>;

fn watched(source: &FileSource<KeyTable>) -> Keys {
    Keys::Watched(source.published())
}

/// Reads keys from a source.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    pub(crate) source: Arc<dyn KeySource>,
    pub(crate) refresh: RefreshAheadBuilder<KeyTable>,
}

impl Loader {
    /// Reads once before it returns, and then again and again.
    pub(crate) async fn load(self, maker: Maker) -> Result<Keys, SourceError> {
        let reader = Arc::new(Reader::new(self.source, maker));
        let load = move || Arc::clone(&reader).read();
        Ok(Keys::Remote(self.refresh.load(load).await?))
    }

    /// Begins without keys, and reads in the background.
    pub(crate) fn start(self, maker: Maker) -> Result<Keys, SourceError> {
        let reader = Arc::new(Reader::new(self.source, maker));
        let load = move || Arc::clone(&reader).read();
        Ok(Keys::Remote(self.refresh.start(load)?))
    }
}

struct Reader {
    source: Arc<dyn KeySource>,
    maker: Maker,
    /// The last table, if the source counts its states.
    last: Mutex<Option<(u64, KeyTable)>>,
}

impl Reader {
    fn new(source: Arc<dyn KeySource>, maker: Maker) -> Self {
        Self {
            source,
            maker,
            last: Mutex::new(None),
        }
    }

    async fn read(self: Arc<Self>) -> Result<KeyTable, BoxError> {
        let known = self.last().clone();
        let answer = self
            .source
            .read(known.as_ref().map(|(revision, _)| *revision));
        let (records, ignored, revision) = match (answer.await?, known) {
            (KeyRead::Records { records, revision }, _) => (records, Vec::new(), revision),
            (
                KeyRead::Partial {
                    records,
                    ignored,
                    revision,
                },
                _,
            ) => (records, ignored, revision),
            (KeyRead::Unchanged, Some((_, table))) => return Ok(table),
            (KeyRead::Unchanged, None) => return Err("unchanged, and nothing was known".into()),
        };
        let table = KeyTable::new(&self.maker.rules, records, &self.maker.uses)?;
        self.maker.report(&table, &ignored);
        *self.last() = revision.map(|revision| (revision, table.clone()));
        Ok(table)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<(u64, KeyTable)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maker {
    /// One row that cannot be used must not take the other keys away.
    fn report(&self, table: &KeyTable, ignored: &[IgnoredKey]) {
        let Some(observer) = &self.observer else {
            return;
        };
        let event = || LifecycleEvent::new("apikey", LifecycleKind::KeyChanged, KEY_IGNORED);
        for id in table.unusable() {
            let event = event()
                .with_subject(id.as_str())
                .with_detail(&"hashed under a pepper that is not given");
            observer.observe(&Event::Lifecycle(event));
        }
        for key in ignored {
            let event = match &key.id {
                Some(id) => event().with_subject(id.as_str()),
                None => event(),
            };
            let event = event.with_detail(&key.reason);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}
