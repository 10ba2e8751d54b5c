//! What becomes of a configuration when its file changes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind};
use bartizan_source::{FileSet, FileSource, FileSourceBuilder, SourceError};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::config::configured::{Configured, Live, State};
use crate::config::document::Config;
use crate::config::places::{Before, Places};
use crate::config::problem::{ConfigError, Problem};
use crate::config::root::Root;

/// The component's name in events.
const LAYER: &str = "config";

/// A changed file is in force, but for what needs a restart.
const RELOADED: Code = Code::new("config.reloaded");
/// A changed file is not in force: it cannot be read or built. What was before stays.
const REFUSED: Code = Code::new("config.refused");

/// The file cannot be followed; it is in force as it was read.
const NOT_FOLLOWED: Code = Code::new("config.not_followed");

/// How long it is until the next attempt at most, unless the file itself is looked at less often.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How many reasons are told of one file that cannot be put in force.
const MOST_TOLD: usize = 16;

/// How large the file and those of its secrets may be.
const LARGEST: usize = 4 * 1024 * 1024;

/// What a reload did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reload {
    changed: Vec<&'static str>,
    restart: Vec<&'static str>,
}

impl Reload {
    /// The tables that changed and are in force.
    pub fn changed(&self) -> &[&'static str] {
        &self.changed
    }

    /// The tables that changed and need a restart: until then they are as they were.
    pub fn needs_restart(&self) -> &[&'static str] {
        &self.restart
    }

    /// What lies between two configurations.
    pub fn between(before: &Config, after: &Config) -> Self {
        Self::of(&before.root, &after.root)
    }

    fn of(before: &Root, after: &Root) -> Self {
        let mut it = Self::default();
        let plaintext = before.plaintext() != after.plaintext();
        for (differs, section) in [
            (before.exempt != after.exempt, "exempt"),
            (before.bans != after.bans, "bans"),
            (before.intake != after.intake, "intake"),
            (before.deadline != after.deadline, "deadline"),
            (before.load != after.load, "load"),
            (before.address_limit != after.address_limit, "address_limit"),
            (before.peers != after.peers, "peers"),
            (before.peer_limit != after.peer_limit, "peer_limit"),
            (before.tokens != after.tokens, "tokens"),
            (before.api_keys != after.api_keys, "api_keys"),
            (
                before.principal_limit != after.principal_limit,
                "principal_limit",
            ),
            (before.rules != after.rules, "rules"),
            (before.redis != after.redis, "redis"),
        ] {
            if differs {
                it.changed.push(section);
            }
        }
        for (differs, section) in [
            (
                before.reload_interval != after.reload_interval,
                "reload_interval",
            ),
            (before.entrance != after.entrance, "entrance"),
            (before.listener != after.listener, "listener"),
            (plaintext, "peers.insecure_plaintext"),
            (before.audit != after.audit, "audit"),
            (before.telemetry != after.telemetry, "telemetry"),
            (before.metadata != after.metadata, "metadata"),
            (before.witness != after.witness, "witness"),
            (before.upload != after.upload, "upload"),
            (before.encryption != after.encryption, "encryption"),
        ] {
            if differs {
                it.restart.push(section);
            }
        }
        it
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.changed.as_slice(), self.restart.as_slice()) {
            ([], []) => f.write_str("nothing changed"),
            (changed, []) => write!(f, "in force: {}", changed.join(", ")),
            ([], restart) => write!(f, "needs a restart: {}", restart.join(", ")),
            (changed, restart) => write!(
                f,
                "in force: {}; needs a restart: {}",
                changed.join(", "),
                restart.join(", ")
            ),
        }
    }
}

impl Configured {
    /// Reads the file now, and puts in force what can be changed while requests are served: all or
    /// nothing. For a signal handler; the file is followed besides.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the file cannot be read or built. What was in force before stays.
    pub async fn reload(&self) -> Result<Reload, ConfigError> {
        let Some(file) = self.config().file else {
            return Err(ConfigError::whole("was not read from a file"));
        };
        match Config::load(&file) {
            Ok(config) => self.0.apply(config).await,
            Err(error) => {
                self.0.tell(REFUSED, LifecycleKind::SourceFailed, &error);
                Err(error)
            }
        }
    }
}

impl Live {
    /// Puts another configuration in force.
    pub(crate) async fn apply(&self, config: Config) -> Result<Reload, ConfigError> {
        let _turn = self.turn.lock().await;
        self.put(config, &mut Vec::new()).await
    }

    /// The same, in turn. What was told of it already is not told again.
    async fn put(&self, config: Config, told: &mut Vec<String>) -> Result<Reload, ConfigError> {
        match self.build(config).await {
            Ok(reload) => {
                self.tell(RELOADED, LifecycleKind::PolicyChanged, &reload);
                Ok(reload)
            }
            Err(problem) => {
                let error = ConfigError::one(problem);
                let message = error.to_string();
                if told.len() < MOST_TOLD && !told.contains(&message) {
                    self.tell(REFUSED, LifecycleKind::SourceFailed, &error);
                    told.push(message);
                }
                Err(error)
            }
        }
    }

    /// Puts a configuration in force; what remains to be done if it cannot be.
    async fn attempt(&self, config: Config) -> Option<Again> {
        let _turn = self.turn.lock().await;
        let mut told = Vec::new();
        self.put(config, &mut told).await.err()?;
        let state = self.state();
        Some(Again {
            reloads: state.reloads,
            pause: state.config.root.reload_interval,
            told,
        })
    }

    /// Another attempt at what is written, unless something else was put in force meanwhile.
    async fn attempt_again(&self, mut again: Again, file: &Path) -> Option<Again> {
        let _turn = self.turn.lock().await;
        if self.state().reloads != again.reloads {
            return None;
        }
        // It may name files that were mended, and that nobody follows yet. What is wrong with the
        // file itself is told by the source.
        if let Ok(config) = Config::load(file) {
            self.put(config, &mut again.told).await.err()?;
        }
        let longest = LONGEST_PAUSE.max(self.state().config.root.reload_interval);
        again.pause = again.pause.saturating_mul(2).min(longest);
        Some(again)
    }

    async fn build(&self, mut config: Config) -> Result<Reload, Problem> {
        let (before, places) = {
            let state = self.state();
            (state.config.root.clone(), state.places.clone())
        };
        let reload = Reload::of(&before, &config.root);
        config.root.reload_interval = before.reload_interval;
        // What cannot be changed stays what it is, also for what is made of it.
        config.root.entrance.clone_from(&before.entrance);
        config.root.listener.clone_from(&before.listener);
        config.root.audit.clone_from(&before.audit);
        config.root.telemetry.clone_from(&before.telemetry);
        config.root.metadata.clone_from(&before.metadata);
        config.root.witness.clone_from(&before.witness);
        config.root.upload.clone_from(&before.upload);
        config.root.encryption.clone_from(&before.encryption);
        config.with = self.with.clone();
        let kept = Before {
            root: &before,
            places: &places,
        };
        let root = &config.root;
        if let (Some(listener), None) = (&root.listener, &root.peers) {
            let message = "[listener] goes on until a restart, and takes [peers] beside it";
            return Err(Problem::new(listener.stands.0, "peers", message));
        }
        // The listener takes plaintext as it did; the layer lets it pass as the file says now.
        // The handle that was given out is of what stood there at the start, whatever was since.
        let own = match &self.fixed.migration {
            _ if root.plaintext() != self.fixed.plaintext_at_start.as_ref() => root.migration()?,
            // Headers of credentials may be others by now.
            kept => kept
                .clone()
                .map(|it| it.with_credential_headers(root.credentials())),
        };
        let migration = own.as_ref();
        // It tells whose tokens are accepted.
        let document = root.document(&self.with)?;
        let places = Places::build_after(root, migration, &self.with, Some(kept)).await?;
        places.set_rates(root);
        self.placed.store(Arc::new(places.placed(root)));
        if let Some(document) = &document {
            self.fixed.own.replace(document);
        }
        let mut state = self.state();
        let reloads = state.reloads + 1;
        *state = State {
            config,
            places,
            reloads,
        };
        Ok(reload)
    }

    fn tell(&self, code: Code, kind: LifecycleKind, detail: &(dyn fmt::Display + Sync)) {
        let event = LifecycleEvent::new(LAYER, kind, code).with_detail(detail);
        self.with.tell(&Event::Lifecycle(event));
    }
}

/// A source that follows the file, and the secrets besides that it follows.
type Followed = (FileSource<Config>, Vec<PathBuf>);

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

/// What could not be put in force, for a reason that may pass: an issuer that is down, a file that
/// is not there yet.
struct Again {
    /// How often something was put in force by then.
    reloads: u64,
    pause: Duration,
    told: Vec<String>,
}

/// Until the file names other secrets, one source follows it and theirs.
pub(crate) async fn follow(weak: Weak<Live>, file: PathBuf) {
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
        loop {
            let changed = match &again {
                None => Some(changes.next().await),
                Some(again) => timeout(again.pause, changes.next()).await.ok(),
            };
            let Some(live) = weak.upgrade() else {
                return;
            };
            // The observer is told.
            again = match (changed, again) {
                (None, Some(again)) => live.attempt_again(again, &file).await,
                (Some(None), _) => return,
                (_, again) => match published.load() {
                    Some(version) => live.attempt(version.value().clone()).await,
                    None => again,
                },
            };
            if live.state().config.secrets != secrets {
                break;
            }
        }
    }
}

impl Live {
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
        let parse = move |files: &FileSet| {
            let bytes = files.get(&path).unwrap_or_default();
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_| ConfigError::whole("is not UTF-8"))?;
            let config = Config::of_file(&path, text)?;
            Ok::<_, ConfigError>(Config {
                file: Some(path.clone()),
                ..config
            })
        };
        Ok((source.start(parse)?, config.secrets))
    }
}

impl Configured {
    /// Ends the following of the file; [`reload`](Self::reload) still works.
    pub fn stop_following(&self) {
        let follower = self.0.follower.lock();
        *follower.unwrap_or_else(PoisonError::into_inner) = None;
    }
}
