//! `[witness]`: whose ledgers this service witnesses.

use std::path::PathBuf;

use bartizan_audit::{VerifierKey, Witness as Cosigner, WitnessKey};
use bartizan_core::{CanonicalPath, SpiffeId};

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::surroundings::Surroundings;

section! {
    /// Witnesses the ledgers of neighbours: remembers what it has seen of them, and cosigns nothing
    /// that does not continue it. Its calls pass bans, limits and `[peers]` like every other, and
    /// neither tokens nor rules: who may speak of a log is said here.
    Witness {
        /// The folder of what it knows, its own.
        folder: PathBuf,
        /// Its key, as `bartizan audit witness key` makes it.
        key_file: PathBuf,
        /// The path below which it is called: `add-checkpoint` and `add-key`, by `POST` with
        /// `text/plain`.
        path: String = "/witness",
        /// The logs; one at least.
        log: Vec<WitnessedLog>,
    }
}

section! {
    /// A log that is witnessed.
    WitnessedLog {
        /// The key of its first epoch, as its file `log.vkey` has it.
        key: Option<String>,
        /// A file with that key. Or `key`.
        key_file: Option<PathBuf>,
        /// SPIFFE IDs of the workloads that may speak of it.
        peers: Vec<SpiffeId>,
        /// Lets everybody speak of it who can reach the service. Nothing is cosigned without the
        /// log's own signature.
        allow_anybody: bool = "false",
    }
}

/// The largest file of a key, in bytes: a line.
const LARGEST_KEY: usize = 4096;

impl Witness {
    pub(crate) fn check(&self, with: &Surroundings) -> Result<(), Problem> {
        let canonical = CanonicalPath::parse(&self.path);
        let is_plain = canonical.is_ok_and(|path| path.into_changed().is_none());
        if !is_plain || self.path.ends_with('/') || self.path.contains(['{', '*', '?']) {
            let message = format!("{:?} is no path in its one spelling", self.path);
            return Err(Problem::new(self.stands.0, "witness.path", message));
        }
        if self.log.is_empty() {
            let message = "knows no log: add [[witness.log]]";
            return Err(Problem::new(self.stands.0, "witness", message));
        }
        for log in &self.log {
            if log.peers.is_empty() != log.allow_anybody {
                return Err(log.wrong("takes one of `peers` and `allow_anybody`"));
            }
            if log.key.is_some() == log.key_file.is_some() {
                return Err(log.wrong("takes one of `key` and `key_file`"));
            }
            if log.key.is_some() {
                log.verifier(with)?;
            }
        }
        Ok(())
    }

    /// The paths that it is called at.
    pub(crate) fn calls(&self) -> [String; 2] {
        ["add-checkpoint", "add-key"].map(|call| format!("{}/{call}", self.path))
    }

    /// Reads the keys.
    pub(crate) fn check_files(&self, with: &Surroundings) -> Result<(), Problem> {
        self.own_key()?;
        let mut logs = self.log.iter();
        logs.try_for_each(|log| log.verifier(with).map(drop))
    }

    /// Opens what it knows.
    pub(crate) fn open(&self, with: &Surroundings) -> Result<Cosigner, Problem> {
        self.check(with)?;
        let mut witness = Cosigner::builder(&self.folder, self.own_key()?);
        witness = witness.with_clock(with.clock.clone());
        if let Some(observer) = with.observer() {
            witness = witness.with_observer(observer);
        }
        for log in &self.log {
            let key = log.verifier(with)?;
            witness = match log.allow_anybody {
                true => witness.add_public_log(key),
                false => witness.add_log(key, log.peers.iter().cloned()),
            };
        }
        witness
            .open()
            .map_err(|error| self.refuse("witness", &error))
    }

    fn own_key(&self) -> Result<WitnessKey, Problem> {
        let key = WitnessKey::load(&self.key_file);
        key.map_err(|error| {
            let message = format!("{}: {error}", self.key_file.display());
            Problem::new(self.stands.0, "witness.key_file", message)
        })
    }
}

impl WitnessedLog {
    fn verifier(&self, with: &Surroundings) -> Result<VerifierKey, Problem> {
        let bytes;
        let text = match (&self.key, &self.key_file) {
            (Some(key), _) => key.as_str(),
            (None, Some(path)) => {
                bytes = with.read(path).map_err(|message| self.wrong(&message))?;
                let text = std::str::from_utf8(&bytes).ok();
                let text = text.filter(|text| text.len() <= LARGEST_KEY);
                text.ok_or_else(|| self.wrong("`key_file` holds no key"))?
            }
            (None, None) => return Err(self.wrong("takes one of `key` and `key_file`")),
        };
        let key = VerifierKey::parse(text.trim_end());
        key.map_err(|error| self.refuse("witness.log", &error))
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem::new(self.stands.0, "witness.log", message)
    }
}
