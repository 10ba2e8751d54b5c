//! Where the keys come from, and how they stay fresh.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind, MonotonicTime, Observe};
use bartizan_source::{
    BoxError, FileSet, FileSource, FileSourceBuilder, Forced, HttpsFetcher, Published,
    RefreshAhead, RefreshAheadBuilder, SourceError, Status,
};
use tokio::time::timeout;

use crate::algorithm::AlgorithmSet;
use crate::discovery;
use crate::issuer::Issuer;
use crate::key::{KeyProblem, Purpose};
use crate::key_set::KeySet;

/// A key of the issuer's set was left out.
const KEY_IGNORED: Code = Code::new("jwt.key_ignored");

/// The issuer publishes the private half of a key.
const PRIVATE_KEY_PUBLISHED: Code = Code::new("jwt.private_key_published");

/// The keys that tokens are verified with.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// Given once.
    Fixed(Arc<KeySet>),
    /// Read from a file, and read again.
    Watched(Published<KeySet>),
    /// Fetched, and fetched again.
    Remote(RefreshAhead<KeySet>),
}

/// What an attempt to get newer keys came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Renewal {
    /// The issuer was asked after the request had come: a key that is not in the set does not
    /// exist.
    Current,
    /// The issuer was asked `age` before the request came, and may be asked again after `wait`.
    Earlier { age: Duration, wait: Duration },
    /// The issuer could not be asked, or did not answer in time.
    Failed,
}

impl KeySource {
    /// Looks at the keys and the number of their generation, or at nothing if there are none that
    /// may still be relied on.
    pub(crate) fn read<R>(&self, look: impl FnOnce(Option<(&KeySet, u64)>) -> R) -> R {
        match self {
            Self::Fixed(keys) => look(Some((keys, 0))),
            Self::Watched(keys) => keys.read(|version| {
                look(version.map(|version| (version.value(), version.generation())))
            }),
            Self::Remote(keys) => keys.read(|version| {
                look(
                    version
                        .ok()
                        .map(|version| (version.value(), version.generation())),
                )
            }),
        }
    }

    /// How the source fares; `None` for keys that were given once.
    pub(crate) fn status(&self) -> Option<Status> {
        match self {
            Self::Fixed(_) => None,
            Self::Watched(keys) => Some(keys.status()),
            Self::Remote(keys) => Some(keys.status()),
        }
    }

    /// The generation of the keys, if there are any that may still be relied on.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.read(|keys| keys.map(|(_, generation)| generation))
    }

    /// Gets keys that are newer than a request which came at `arrived`, or the first, waiting for
    /// at most `patience`; `None` if there can be none.
    ///
    /// Joins a fetch that is under way, and starts one at most once per cool-down. Otherwise the
    /// answer comes at once: an issuer that is down does not hold up a crowd.
    pub(crate) fn renew(
        &self,
        arrived: MonotonicTime,
        patience: Duration,
    ) -> Option<impl Future<Output = Renewal> + Send + use<>> {
        match self {
            Self::Fixed(_) | Self::Watched(_) => None,
            Self::Remote(keys) => {
                let keys = keys.clone();
                // The fetch goes on if the wait is given up, so that the next request finds the
                // keys.
                Some(async move {
                    let renewal = timeout(patience, renew(&keys, arrived)).await;
                    renewal.unwrap_or(Renewal::Failed)
                })
            }
        }
    }
}

async fn renew(keys: &RefreshAhead<KeySet>, arrived: MonotonicTime) -> Renewal {
    let before = keys.published().generation();
    loop {
        let Ok(forced) = keys.force().await else {
            return Renewal::Failed;
        };
        let asked = keys.asked_at();
        if asked.is_some_and(|asked| asked >= arrived) {
            return Renewal::Current;
        }
        let age = asked.map_or(Duration::MAX, |asked| arrived.saturating_since(asked));
        match forced {
            // The last attempt was made a moment ago, and failed.
            Forced::RateLimited { .. } if keys.status().is_failing() => return Renewal::Failed,
            Forced::RateLimited { retry_after: wait } => return Renewal::Earlier { age, wait },
            // A fetch was joined that had begun before the request came. What it brought may do;
            // if it brought nothing, the issuer may have changed its keys since.
            _ if keys.published().generation() != before => {
                let wait = Duration::from_secs(1);
                return Renewal::Earlier { age, wait };
            }
            _ => {}
        }
    }
}

/// Fetches the keys of one issuer.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    pub(crate) fetcher: HttpsFetcher,
    pub(crate) check: SetCheck,
    /// Where the keys are; found by discovery if it is not said.
    pub(crate) location: Option<Box<str>>,
}

/// Reads the keys of one issuer from a file, and keeps watching it.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    pub(crate) path: PathBuf,
    pub(crate) files: FileSourceBuilder,
    pub(crate) check: SetCheck,
}

impl Watcher {
    /// Reads once before it returns.
    pub(crate) fn load(self) -> Result<KeySource, SourceError> {
        let Self { path, files, check } = self;
        let parse = move |set: &FileSet| check.read(set.get(&path).unwrap_or_default());
        files.load(parse).map(|source| watched(&source))
    }

    /// Begins without keys.
    pub(crate) fn start(self) -> Result<KeySource, SourceError> {
        let Self { path, files, check } = self;
        let parse = move |set: &FileSet| check.read(set.get(&path).unwrap_or_default());
        files.start(parse).map(|source| watched(&source))
    }
}

fn watched(source: &FileSource<KeySet>) -> KeySource {
    KeySource::Watched(source.published())
}

impl Loader {
    /// Fetches once before it returns, and then keeps fresh.
    pub(crate) async fn load(
        self,
        refresh: RefreshAheadBuilder<KeySet>,
    ) -> Result<KeySource, SourceError> {
        let loader = Arc::new(self);
        let keys = refresh.load(move || Arc::clone(&loader).fetch()).await?;
        Ok(KeySource::Remote(keys))
    }

    /// Begins without keys, and fetches in the background.
    pub(crate) fn start(
        self,
        refresh: RefreshAheadBuilder<KeySet>,
    ) -> Result<KeySource, SourceError> {
        let loader = Arc::new(self);
        let keys = refresh.start(move || Arc::clone(&loader).fetch())?;
        Ok(KeySource::Remote(keys))
    }

    async fn fetch(self: Arc<Self>) -> Result<KeySet, BoxError> {
        let location = match &self.location {
            Some(location) => location.to_string(),
            // Asked anew each time, so that an issuer may move its keys.
            None => self.discover().await?,
        };
        let document = self.fetcher.get(&location).await?;
        self.check.read(document.body())
    }

    async fn discover(&self) -> Result<String, BoxError> {
        let mut first_error = None;
        for location in discovery::locations(&self.check.issuer) {
            match self.fetcher.get(&location).await {
                Ok(document) => {
                    let document = std::str::from_utf8(document.body())?;
                    return Ok(discovery::key_location(document, &self.check.issuer)?);
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.map_or_else(|| "nowhere to ask".into(), BoxError::from))
    }
}

/// What a set must have to take the place of the one before, and who is told of its keys.
#[derive(Clone, Debug)]
pub(crate) struct SetCheck {
    pub(crate) issuer: Issuer,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) purpose: Purpose,
    pub(crate) observer: Option<Arc<dyn Observe>>,
}

impl SetCheck {
    fn read(&self, document: &[u8]) -> Result<KeySet, BoxError> {
        self.accept(KeySet::read(std::str::from_utf8(document)?, self.purpose)?)
    }

    /// A set without a usable key is taken for a mistake of the issuer's: the keys that it had
    /// before stay in force until they are too old.
    fn accept(&self, keys: KeySet) -> Result<KeySet, BoxError> {
        self.report(&keys);
        if keys.has_key_for(self.algorithms) {
            Ok(keys)
        } else {
            let count = keys.notices().len() + keys.keys().len();
            Err(format!("no usable key among {count}").into())
        }
    }

    fn report(&self, keys: &KeySet) {
        let Some(observer) = &self.observer else {
            return;
        };
        for notice in keys.notices() {
            let code = match notice.problem() {
                KeyProblem::PrivatePublished => PRIVATE_KEY_PUBLISHED,
                // Issuers publish their encryption keys beside the others, and that is well.
                KeyProblem::WrongUse => continue,
                _ => KEY_IGNORED,
            };
            let event = LifecycleEvent::new("jwt", LifecycleKind::KeyChanged, code)
                .with_subject(self.issuer.as_str())
                .with_detail(notice);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}
