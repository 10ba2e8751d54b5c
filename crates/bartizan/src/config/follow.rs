//! Follows the file of a configuration for as long as somebody uses what it configures.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bartizan_core::{Code, LifecycleKind};
use bartizan_source::{FileSet, FileSource, FileSourceBuilder, SourceError};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::config::configured::{Configured, Live};
use crate::config::document::Config;
use crate::config::problem::ConfigError;
use crate::config::reload::{Read, Reload, Told};

/// The file cannot be followed; it is in force as it was read.
const NOT_FOLLOWED: Code = Code::new("config.not_followed");

/// How long it is until the next attempt at most, unless the file itself is looked at less often.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How large the file and those of its secrets may be.
const LARGEST: usize = 4 * 1024 * 1024;

/// A source that follows the file, and the secrets besides that it follows.
type Followed = (FileSource<Read>, Vec<PathBuf>);

/// Follows the file, for as long as somebody uses what it configures.
pub(crate) struct Follower(AbortHandle);

impl Follower {
    pub(crate) fn begin(built: &Configured) {
        let config = built.config();
        let (Some(file), Ok(runtime)) = (config.file, Handle::try_current()) else {
            return;
        };
        if config.root.reload_interval.is_zero() {
            return;
        }
        let task = runtime.spawn(follow(Arc::downgrade(&built.0), file));
        let follower = built.0.follower.lock();
        *follower.unwrap_or_else(PoisonError::into_inner) = Some(Self(task.abort_handle()));
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Configured {
    /// Ends the following of the file; [`reload`](Self::reload) still works.
    pub fn stop_following(&self) {
        let follower = self.0.follower.lock();
        *follower.unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What could not be put in force, for a reason that may pass: an issuer that is down, a file that
/// is not there yet.
struct Again {
    /// How often something was put in force by then.
    reloads: u64,
    pause: Duration,
    told: Told,
    /// How many reasons were told of what the source had read; the others may be of a version that
    /// it has not seen yet.
    reasons: usize,
}

/// What came of an attempt.
enum Outcome {
    InForce(Reload),
    /// Something else took its place.
    Over,
    Waits(Again),
}

/// Until the file names other secrets, one source follows it and theirs.
pub(crate) async fn follow(weak: Weak<Live>, file: PathBuf) {
    // What a source reads first is what is in force, most often, and no news: this much is known.
    let mut known = Reload::default();
    loop {
        let Some(live) = weak.upgrade() else {
            return;
        };
        let (source, secrets) = match live.source(&file) {
            Ok(source) => source,
            Err(error) => {
                live.tell(NOT_FOLLOWED, LifecycleKind::SourceFailed, &error);
                return;
            }
        };
        drop(live);
        let published = source.published();
        let mut changes = published.subscribe();
        let mut again: Option<Again> = None;
        let mut first = Some(known.clone());
        loop {
            let changed = match &again {
                None => Some(changes.next().await),
                Some(again) => timeout(again.pause, changes.next()).await.ok(),
            };
            let Some(live) = weak.upgrade() else {
                return;
            };
            // The observer is told.
            let is_source = changed.is_some();
            let outcome = match (changed, again.take()) {
                (None, Some(again)) => live.attempt_again(again, &file).await,
                (Some(None), _) => return,
                (_, again) => match published.load() {
                    Some(version) => {
                        let beside = again.map(|again| again.told.after(again.reasons));
                        let told = Told::before(first.take(), beside.unwrap_or_default());
                        live.attempt(version.value().clone(), told).await
                    }
                    None => again.map_or(Outcome::Over, Outcome::Waits),
                },
            };
            match outcome {
                Outcome::InForce(reload) => {
                    known = reload.waiting();
                    // The source may not have seen yet what was read beside it.
                    first = (!is_source).then(|| known.clone());
                }
                Outcome::Over => {}
                Outcome::Waits(waits) => again = Some(waits),
            }
            if live.state().config.secrets != secrets {
                break;
            }
        }
    }
}

impl Live {
    /// Puts what was read in force, or says what remains to be done if it cannot be.
    async fn attempt(&self, read: Read, mut told: Told) -> Outcome {
        let _turn = self.turn.lock().await;
        if let Ok(reload) = self.put(read, &mut told).await {
            return Outcome::InForce(reload);
        }
        let state = self.state();
        Outcome::Waits(Again {
            reloads: state.reloads,
            pause: state.config.root.reload_interval,
            reasons: told.reasons(),
            told,
        })
    }

    /// Another attempt at what is written, unless something else was put in force meanwhile. It may
    /// name files that were mended, and that nobody follows yet.
    async fn attempt_again(&self, mut again: Again, file: &Path) -> Outcome {
        let _turn = self.turn.lock().await;
        if self.state().reloads != again.reloads {
            return Outcome::Over;
        }
        if let Ok(reload) = self.put(Config::load(file), &mut again.told).await {
            return Outcome::InForce(reload);
        }
        let longest = LONGEST_PAUSE.max(self.state().config.root.reload_interval);
        again.pause = again.pause.saturating_mul(2).min(longest);
        Outcome::Waits(again)
    }

    fn source(&self, file: &PathBuf) -> Result<Followed, SourceError> {
        let config = self.state().config.clone();
        let mut source = FileSourceBuilder::new("config")
            .add_file(file)
            .with_interval(config.root.reload_interval)
            .with_file_limit(LARGEST)
            .with_clock(self.with.clock.clone());
        for secret in &config.secrets {
            source = source.add_file(secret);
        }
        if let Some(observer) = self.with.observer() {
            source = source.with_observer(observer);
        }
        let path = file.clone();
        // What cannot be read is a version as well: it is refused once, as one that cannot be built
        // is, and not at each reading.
        let parse = move |files: &FileSet| {
            let bytes = files.get(&path).unwrap_or_default();
            Ok::<_, ConfigError>(read(&path, bytes).map_err(|error| error.of_file(Some(&path))))
        };
        Ok((source.start(parse)?, config.secrets))
    }
}

fn read(path: &Path, bytes: &[u8]) -> Read {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| ConfigError::whole("is not UTF-8"))?;
    Ok(Config {
        file: Some(path.to_owned()),
        ..Config::of_file(path, text)?
    })
}
