//! Begins a run: on an empty folder, behind a run that ended in order, or behind a crash.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::{CHECKPOINT_FILE, KEY_FILE, VERIFIER_FILE, Writer, WriterSettings};
use crate::checkpoint::Checkpoint;
use crate::epoch::{EpochKey, KeyFile};
use crate::merkle::Tree;
use crate::note::Note;
use crate::record::{Record, RecoveredRecord, StartRecord};
use crate::recovery::{Damage, Tail, examine};
use crate::segment::{segment_name, segment_number};
use crate::storage::Storage;

/// Why a ledger cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum OpenError {
    /// The ledger is damaged in a way that no crash explains.
    Damaged { segment: u64, damage: Damage },
    /// The storage failed.
    Io(io::Error),
    /// The key file is missing or damaged, or holds no key that the ledger names.
    Keys,
    /// There are no random bytes for a key.
    NoRandomness,
    /// The ledger belongs to another log.
    Origin(String),
    /// Entries are missing that a checkpoint commits to.
    Truncated { size: u64, committed: u64 },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { segment, damage } => {
                write!(f, "segment {segment} was changed: {damage}")
            }
            Self::Io(_) => f.write_str("the storage failed"),
            Self::Keys => f.write_str("the key file holds no key of the ledger's epoch"),
            Self::NoRandomness => f.write_str("the system gives no random bytes"),
            Self::Origin(origin) => write!(f, "the folder holds the ledger of {origin}"),
            Self::Truncated { size, committed } => write!(
                f,
                "the ledger has {size} entries, its checkpoint commits to {committed}"
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where a run begins.
struct Beginning {
    key: EpochKey,
    tree: Tree,
    next_segment: u64,
    previous_length: u64,
    recovered: Option<RecoveredRecord>,
}

impl<S: Storage> Writer<S> {
    /// Opens a ledger and begins a run, whose first records are durable once this returns. Says
    /// what was repaired, if anything was.
    pub(crate) fn open(
        storage: S,
        settings: WriterSettings,
        now: u64,
    ) -> Result<(Self, Option<RecoveredRecord>), OpenError> {
        let names = storage.list()?;
        // What an earlier run had prepared and not used.
        for name in names.iter().filter(|name| name.ends_with(".new")) {
            storage.remove(name)?;
        }
        let last = names.iter().filter_map(|name| segment_number(name)).max();
        let beginning = match last {
            None => first_run(&storage, &settings.origin, &names)?,
            Some(last) => next_run(&storage, &settings.origin, last, now)?,
        };
        let mut writer = Self {
            storage,
            epoch_began: (beginning.tree.size(), now),
            settings,
            key: beginning.key,
            stale_keys: false,
            tree: beginning.tree,
            next_segment: beginning.next_segment,
            previous_length: beginning.previous_length,
            active: None,
            fault: None,
            looked: now,
            note: Arc::from(""),
            spare: Box::new(|| None),
        };
        // Whichever key of two was not the ledger's is gone from here on.
        let content = KeyFile::print(&writer.key, None);
        writer.storage.replace(KEY_FILE, content.as_bytes())?;
        let (service, detail) = (
            writer.settings.service.clone(),
            writer.settings.detail.clone(),
        );
        let start = StartRecord::new(now, writer.next_segment, &service, &detail);
        if let Some(recovered) = beginning.recovered {
            writer.record(&Record::Recovered(recovered), now)?;
        }
        writer.record(&Record::Start(start), now)?;
        writer.publish()?;
        Ok((writer, beginning.recovered))
    }
}

fn first_run<S: Storage>(
    storage: &S,
    origin: &str,
    names: &[String],
) -> Result<Beginning, OpenError> {
    if names.iter().any(|name| name == CHECKPOINT_FILE) {
        let committed = committed(storage, origin)?.map_or(0, |checkpoint| checkpoint.size);
        return Err(OpenError::Truncated { size: 0, committed });
    }
    let key = EpochKey::generate(origin, 0).ok_or(OpenError::NoRandomness)?;
    let public = format!("{}\n", key.verifier());
    storage.replace(KEY_FILE, KeyFile::print(&key, None).as_bytes())?;
    storage.replace(VERIFIER_FILE, public.as_bytes())?;
    Ok(Beginning {
        key,
        tree: Tree::new(),
        next_segment: 0,
        previous_length: 0,
        recovered: None,
    })
}

fn next_run<S: Storage>(
    storage: &S,
    origin: &str,
    last: u64,
    now: u64,
) -> Result<Beginning, OpenError> {
    let name = segment_name(last);
    let segment = storage.read(&name)?;
    let tail = examine(last, &segment).map_err(|damage| OpenError::Damaged {
        segment: last,
        damage,
    })?;
    if tail.header.origin != origin {
        return Err(OpenError::Origin(tail.header.origin));
    }
    if let Some(committed) = committed(storage, origin)?
        && committed.size > tail.tree.size()
    {
        return Err(OpenError::Truncated {
            size: tail.tree.size(),
            committed: committed.size,
        });
    }
    let keys = zeroize::Zeroizing::new(storage.read(KEY_FILE).map_err(|_| OpenError::Keys)?);
    let keys = KeyFile::parse(origin, &keys).ok_or(OpenError::Keys)?;
    let key = keys
        .into_key_of(tail.epoch, &tail.key)
        .ok_or(OpenError::Keys)?;
    let recovered = if tail.stopped {
        None
    } else {
        Some(repair(storage, last, &segment, &tail, now)?)
    };
    Ok(Beginning {
        key,
        tree: tail.tree,
        next_segment: last + 1,
        previous_length: tail.length as u64,
        recovered,
    })
}

/// Writes what counts of the last segment anew: what could be read back may never have reached the
/// disk, if it was a failed sync that ended the run. The torn end is kept in a file of its own.
fn repair<S: Storage>(
    storage: &S,
    number: u64,
    segment: &[u8],
    tail: &Tail,
    now: u64,
) -> Result<RecoveredRecord, OpenError> {
    let (whole, behind) = segment
        .split_at_checked(tail.length)
        .unwrap_or((segment, &[]));
    if let Some(torn) = behind.get(..tail.torn).filter(|torn| !torn.is_empty()) {
        storage.replace(&format!("{}.torn", segment_name(number)), torn)?;
    }
    storage.replace(&segment_name(number), whole)?;
    Ok(RecoveredRecord::new(
        now,
        number,
        tail.unsealed,
        tail.torn as u64,
    ))
}

/// The checkpoint that was last put where others find it. Its signature is of no use here: it
/// may be of any epoch, and whoever can write the folder can remove it.
fn committed<S: Storage>(storage: &S, origin: &str) -> Result<Option<Checkpoint>, OpenError> {
    let bytes = match storage.read(CHECKPOINT_FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let note = Note::parse(&bytes).ok();
    let checkpoint = note.and_then(|note| Checkpoint::parse(note.text()).ok());
    Ok(checkpoint.filter(|checkpoint| checkpoint.origin == origin))
}
