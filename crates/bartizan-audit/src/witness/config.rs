//! How a witness is opened.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::{Clock, Observe, SpiffeId, SystemClock};
use tokio::sync::Mutex;

use super::log::WitnessedLog;
use super::{Inner, Log, Witness, WitnessKey, state_file};
use crate::note::VerifierKey;
use crate::storage::Disk;

/// How many logs a witness may be given: each takes about a kilobyte, and a service has a handful
/// of neighbours.
const MOST_LOGS: usize = 1024;

/// Describes a [`Witness`]; made by [`Witness::builder`].
#[must_use = "call open to get the witness"]
pub struct WitnessBuilder {
    folder: PathBuf,
    key: WitnessKey,
    logs: Vec<(VerifierKey, Option<Vec<SpiffeId>>)>,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
}

impl WitnessBuilder {
    pub(super) fn new(folder: &Path, key: WitnessKey) -> Self {
        Self {
            folder: folder.to_owned(),
            key,
            logs: Vec::new(),
            clock: Arc::new(SystemClock),
            observer: None,
        }
    }

    /// Adds a log by the key of its first epoch (`log.vkey`), whose name is the log's origin, and
    /// the peers that may speak of it.
    pub fn add_log(mut self, key: VerifierKey, peers: impl IntoIterator<Item = SpiffeId>) -> Self {
        self.logs.push((key, Some(peers.into_iter().collect())));
        self
    }

    /// Adds a log of which anybody may speak who can reach the witness, as C2SP has it: nothing is
    /// cosigned without the log's own signature, but everybody can make the witness look at it.
    pub fn add_public_log(mut self, key: VerifierKey) -> Self {
        self.logs.push((key, None));
        self
    }

    /// Replaces the clock, whose time is in each cosignature.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets who is told of logs that were forked (`audit.log_forked`).
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Opens the witness: makes the folder if it is not there, and reads what it knows of its
    /// logs. Blocks.
    ///
    /// # Errors
    ///
    /// See [`WitnessError`]. A state that cannot be read is not begun anew: a witness that forgets
    /// is one that can be lied to.
    pub fn open(self) -> Result<Witness, WitnessError> {
        if self.logs.len() > MOST_LOGS {
            return Err(WitnessError::TooMany);
        }
        let disk = Disk::new(&self.folder);
        disk.make_folder()?;
        let lock = disk.lock().map_err(WitnessError::InUse)?;
        let mut logs = HashMap::new();
        for (key, peers) in self.logs {
            let origin = key.name().to_owned();
            let state = match fs::read(state_file(&self.folder, &origin)) {
                Ok(bytes) => WitnessedLog::parse(&bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Some(WitnessedLog::new(key.clone()))
                }
                Err(error) => return Err(error.into()),
            };
            let state = state.ok_or_else(|| WitnessError::State(origin.clone()))?;
            if *state.pinned() != key {
                return Err(WitnessError::Key(origin));
            }
            let log = Log {
                peers,
                state: Arc::new(Mutex::new(state)),
            };
            if logs.insert(origin.clone(), log).is_some() {
                return Err(WitnessError::Twice(origin));
            }
        }
        Ok(Witness(Arc::new(Inner {
            key: self.key,
            folder: self.folder,
            logs,
            clock: self.clock,
            observer: self.observer,
            _lock: lock,
        })))
    }
}

impl std::fmt::Debug for WitnessBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitnessBuilder")
            .field("folder", &self.folder)
            .field("key", &self.key)
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}

/// Why a witness cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// Another process has the folder.
    #[error("another process has the folder of the witness")]
    InUse(#[source] io::Error),
    /// The log was followed from another first key so far.
    #[error("{0} was followed from another first key so far")]
    Key(String),
    /// What is known of the log cannot be read.
    #[error("what is known of {0} cannot be read")]
    State(String),
    /// The storage failed.
    #[error("the storage failed")]
    Storage(#[from] io::Error),
    /// There are more logs than a witness takes: 1,024.
    #[error("a witness takes no more than 1024 logs")]
    TooMany,
    /// The log was added twice.
    #[error("{0} was added twice")]
    Twice(String),
}
