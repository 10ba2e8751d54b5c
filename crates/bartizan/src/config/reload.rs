//! What becomes of a configuration when its file changes.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Code, Event, LifecycleEvent, LifecycleKind};

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

/// How many reasons are told of one file that cannot be put in force.
const MOST_TOLD: usize = 16;

/// A file as it was read.
pub(crate) type Read = Result<Config, ConfigError>;

/// What was told of a file by now.
#[derive(Default)]
pub(crate) struct Told {
    /// What lies between it and what is in force, until it was tried once.
    known: Option<Reload>,
    /// Why it could not be put in force.
    refusals: Vec<String>,
}

impl Told {
    /// There is nothing to tell if putting it in force does no more than is known, nor if it is
    /// refused for a reason that was told already.
    pub(crate) fn before(known: Option<Reload>, refusals: Vec<String>) -> Self {
        Self { known, refusals }
    }

    /// How many reasons were told.
    pub(crate) fn reasons(&self) -> usize {
        self.refusals.len()
    }

    /// The reasons that were told after the first so many.
    pub(crate) fn after(mut self, first: usize) -> Vec<String> {
        self.refusals.split_off(first.min(self.refusals.len()))
    }
}

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

    /// The same of a file that is in force, but for what still needs a restart.
    pub(crate) fn waiting(self) -> Self {
        Self {
            changed: Vec::new(),
            ..self
        }
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
        self.0.apply(Config::load(&file)).await
    }
}

impl Live {
    /// Puts another configuration in force.
    pub(crate) async fn apply(&self, read: Read) -> Result<Reload, ConfigError> {
        let _turn = self.turn.lock().await;
        self.put(read, &mut Told::default()).await
    }

    /// The same, in turn. What was told of it already is not told again.
    pub(crate) async fn put(&self, read: Read, told: &mut Told) -> Result<Reload, ConfigError> {
        let known = told.known.take();
        match self.take(read).await {
            Ok(reload) => {
                if known.as_ref() != Some(&reload) {
                    self.tell(RELOADED, LifecycleKind::PolicyChanged, &reload);
                }
                Ok(reload)
            }
            Err(error) => {
                let message = error.to_string();
                if told.refusals.len() < MOST_TOLD && !told.refusals.contains(&message) {
                    self.tell(REFUSED, LifecycleKind::SourceFailed, &error);
                    told.refusals.push(message);
                }
                Err(error)
            }
        }
    }

    async fn take(&self, read: Read) -> Result<Reload, ConfigError> {
        let config = read?;
        let file = config.file.clone();
        let built = self.build(config).await;
        built.map_err(|problem| ConfigError::one(problem).of_file(file.as_deref()))
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

    pub(crate) fn tell(&self, code: Code, kind: LifecycleKind, detail: &(dyn fmt::Display + Sync)) {
        let event = LifecycleEvent::new(LAYER, kind, code).with_detail(detail);
        self.with.tell(&Event::Lifecycle(event));
    }
}
