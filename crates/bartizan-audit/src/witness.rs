//! A witness ([C2SP tlog-witness]): remembers the largest tree that it saw of each log, and
//! cosigns nothing that does not continue it.
//!
//! [C2SP tlog-witness]: https://c2sp.org/tlog-witness

mod config;
mod key;
mod log;
mod request;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::{Clock, Code, Event, LifecycleEvent, LifecycleKind, Observe, Peer, SpiffeId};
use bartizan_source::{FileMode, write_atomically};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub(crate) use self::log::Refusal;
use self::log::WitnessedLog;
use crate::checkpoint::Checkpoint;
use crate::note::Note;

pub use self::config::{WitnessBuilder, WitnessError};
pub use self::key::{CosignerKey, WitnessKey};
pub(crate) use self::request::LONGEST_REQUEST;
pub use self::request::{AddCheckpoint, AddKey};

/// The log showed two trees of which neither continues the other.
pub(crate) const LOG_FORKED: Code = Code::new("audit.log_forked");

/// Cosigns the checkpoints of other services' logs, and remembers what it cosigned.
///
/// For each log it keeps the size and root of the largest tree that it has cosigned, and the key
/// to which it has followed the log. It cosigns a tree that continues that one and no other, so
/// that a log cannot be cut back or forked without its witnesses knowing.
///
/// 1. A log is known by the key of its first epoch (`log.vkey`), given here. Its later keys are
///    followed along the tree: each is named by the last entry of a tree that the key before has
///    signed, and that the witness has cosigned.
/// 2. What it knows is synced to the disk before it is said. If it cannot be, the answer is
///    "could not" and nothing changes.
/// 3. Requests about one log are decided one after the other; requests about several beside each
///    other. A client that goes away changes nothing about that.
/// 4. Who may speak of a log is said by identity, and nobody may unless it is said.
///
/// Serve it with [`WitnessService`](crate::WitnessService). Clones are handles to the same
/// witness; its folder belongs to one process.
#[derive(Clone)]
pub struct Witness(Arc<Inner>);

struct Inner {
    key: WitnessKey,
    folder: PathBuf,
    logs: HashMap<String, Log>,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
    // The folder is this process's for as long as the file lives.
    _lock: File,
}

struct Log {
    /// Who may speak of it; anybody if it is a public one.
    peers: Option<Vec<SpiffeId>>,
    state: Arc<Mutex<WitnessedLog>>,
}

/// What a witness answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// The cosignature line.
    Cosigned(String),
    /// What was to be remembered could not be synced.
    Failed,
    /// The peer may not speak of this log.
    Foreign,
    /// Nobody has proven who they are, and this log is not a public one.
    Anonymous,
    /// The key of this epoch is believed from now on.
    Following(u32),
    Refused(Refusal),
    /// There is no such log.
    Unknown,
}

/// What is asked of a witness.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Checkpoint(AddCheckpoint),
    Key(AddKey),
}

impl Call {
    /// The log that it is about, as it says itself.
    fn origin(&self) -> Option<&str> {
        match self {
            Self::Checkpoint(request) => request
                .checkpoint
                .split('\n')
                .next()
                .filter(|it| !it.is_empty()),
            Self::Key(request) => Some(&request.origin),
        }
    }
}

impl Witness {
    /// Begins to describe a witness that keeps what it knows in this folder and signs with this
    /// key.
    pub fn builder(folder: impl AsRef<Path>, key: WitnessKey) -> WitnessBuilder {
        WitnessBuilder::new(folder.as_ref(), key)
    }

    /// The public half of its key, which verifiers are given.
    #[must_use]
    pub fn key(&self) -> &CosignerKey {
        self.0.key.public()
    }

    /// The largest checkpoint that it has cosigned of this log, as a signed note: what the log
    /// cannot go back behind. `None` if it knows no such log, or has cosigned nothing of it.
    pub async fn checkpoint(&self, origin: &str) -> Option<String> {
        let log = self.0.logs.get(origin)?;
        let note = log.state.lock().await.note().to_owned();
        (!note.is_empty()).then_some(note)
    }

    /// Whether this peer may speak of any log at all.
    pub(crate) fn knows(&self, peer: Option<&Peer>) -> bool {
        let id = peer.and_then(Peer::spiffe_id);
        self.0.logs.values().any(|log| log.admits(id))
    }

    pub(crate) async fn answer(&self, peer: Option<&Peer>, call: Call) -> Answer {
        let Some(origin) = call.origin() else {
            return Answer::Refused(Refusal::Malformed);
        };
        let Some(log) = self.0.logs.get(origin) else {
            return Answer::Unknown;
        };
        if !log.admits(peer.and_then(Peer::spiffe_id)) {
            return match peer {
                Some(_) => Answer::Foreign,
                None => Answer::Anonymous,
            };
        }
        let state = Arc::clone(&log.state).lock_owned().await;
        let this = self.clone();
        // The guard goes with the work: a client that goes away must not let another request in
        // between deciding and remembering.
        let work = tokio::task::spawn_blocking(move || this.work(state, &call));
        work.await.unwrap_or(Answer::Failed)
    }

    fn work(&self, mut state: OwnedMutexGuard<WitnessedLog>, call: &Call) -> Answer {
        let decided = match call {
            Call::Checkpoint(request) => {
                let now = self.0.clock.wall().unix_seconds();
                let cosigned = state.add_checkpoint(request, |text| self.0.key.cosign(text, now));
                cosigned.map(|it| (Some(it.next), Answer::Cosigned(it.cosignature)))
            }
            Call::Key(request) => state.add_key(request).map(|next| {
                let epoch = next.as_ref().unwrap_or(&state).epoch();
                (next, Answer::Following(epoch))
            }),
        };
        let (next, answer) = match decided {
            Ok(decided) => decided,
            Err(refusal) => {
                self.note_fork(&state, call, refusal);
                return Answer::Refused(refusal);
            }
        };
        if let Some(next) = next {
            //= C2SP tlog-witness: The witness MUST persist the new checkpoint before responding.
            if self.keep(&next).is_err() {
                return Answer::Failed;
            }
            *state = next;
        }
        answer
    }

    fn keep(&self, state: &WitnessedLog) -> io::Result<()> {
        let path = state_file(&self.0.folder, state.pinned().name());
        write_atomically(&path, state.to_string().as_bytes(), FileMode::PRIVATE)
    }

    /// Two trees under the log's own signature, neither of which continues the other, prove that
    /// somebody changed it: the first such checkpoint is kept beside the one it contradicts.
    fn note_fork(&self, state: &WitnessedLog, call: &Call, refusal: Refusal) {
        let (Call::Checkpoint(request), Refusal::Forked(_) | Refusal::Inconsistent) =
            (call, refusal)
        else {
            return;
        };
        let origin = state.pinned().name();
        let path = state_file(&self.0.folder, origin).with_extension("forked");
        // A proof that is merely wrong proves nothing; whoever looks into it has both.
        if !path.exists() {
            let note = request.checkpoint.as_bytes();
            let _ = write_atomically(&path, note, FileMode::PRIVATE);
        }
        if let Some(observer) = &self.0.observer {
            let size = Note::parse(request.checkpoint.as_bytes()).ok();
            let size = size.and_then(|note| Checkpoint::parse(note.text()).ok());
            let size = size.map_or(0, |checkpoint| checkpoint.size);
            let detail = format!("size {size} does not continue size {}", state.size());
            let kind = LifecycleKind::SourceFailed;
            let event = LifecycleEvent::new("audit", kind, LOG_FORKED)
                .with_subject(origin)
                .with_detail(&detail);
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

impl Log {
    fn admits(&self, id: Option<&SpiffeId>) -> bool {
        match &self.peers {
            None => true,
            Some(peers) => id.is_some_and(|id| peers.contains(id)),
        }
    }
}

/// Where the state of a log is kept: origins may hold anything, so that their hash names it.
fn state_file(folder: &Path, origin: &str) -> PathBuf {
    let hash = crate::merkle::sha256(origin.as_bytes());
    let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("{name}.log"))
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness")
            .field("key", self.key())
            .field("folder", &self.0.folder)
            .field("logs", &self.0.logs.len())
            .finish_non_exhaustive()
    }
}
