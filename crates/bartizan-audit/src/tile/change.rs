//! How an epoch began: what it takes to follow the log's key.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, decimal};
use crate::merkle::leaf_hash;
use crate::note::{Note, VerifierKey};
use crate::record::{EpochRecord, Record};
use crate::storage::Storage;

/// A change of epochs: the last entry of a tree, and the last checkpoint of the key before, which
/// is over that tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EpochChange {
    /// The epoch that begins.
    pub(crate) epoch: u32,
    /// The size of the tree that ends with the change.
    pub(crate) size: u64,
    /// The entry.
    pub(crate) entry: Vec<u8>,
    /// The checkpoint, as a signed note.
    pub(crate) note: String,
}

/// The longest file of a change, in bytes.
const LONGEST_FILE: u64 = 4096;

impl EpochChange {
    /// The change that this entry is, if it is one, with the checkpoint behind it.
    pub(crate) fn of(size: u64, entry: &[u8], note: &[u8]) -> Option<Self> {
        let Ok(Record::Epoch(change)) = Record::decode(entry) else {
            return None;
        };
        Some(Self {
            epoch: change.epoch,
            size,
            entry: entry.to_vec(),
            note: std::str::from_utf8(note).ok()?.to_owned(),
        })
    }

    /// The file in which it is kept.
    pub(crate) fn file(epoch: u32) -> String {
        format!("epoch/{epoch:010}")
    }

    /// Reads how this epoch began; `None` if that is not kept.
    pub(crate) fn read<S: Storage>(storage: &S, epoch: u32) -> io::Result<Option<Self>> {
        let bytes = match storage.read_start(&Self::file(epoch), LONGEST_FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let change = Self::parse(&bytes).filter(|change| change.epoch == epoch);
        change.map(Some).ok_or_else(|| {
            let text = format!("the beginning of epoch {epoch} cannot be read");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Reads what was [printed](fmt::Display).
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, note) = text.split_once("\n\n")?;
        let (size, entry) = head.strip_prefix("size ")?.split_once("\nentry ")?;
        let entry = STANDARD.decode(entry).ok()?;
        let change = Self::of(decimal(size)?, &entry, note.as_bytes())?;
        (change.to_string() == text).then_some(change)
    }

    /// The key that begins, if the key before has signed a tree with this root that ends with the
    /// change; `last` is the hash of the tree's last leaf.
    pub(crate) fn follow(
        &self,
        before: &VerifierKey,
        epoch: u32,
        root: crate::merkle::Hash,
        last: crate::merkle::Hash,
    ) -> Option<VerifierKey> {
        let note = Note::parse(self.note.as_bytes()).ok()?;
        note.verified_by(before).ok()?;
        let checkpoint = Checkpoint::parse(note.text()).ok()?;
        let change = self.record()?;
        let fits = checkpoint == Checkpoint::new(before.name(), self.size, root)
            && leaf_hash(&self.entry) == last
            && epoch.checked_add(1) == Some(change.epoch);
        fits.then(|| VerifierKey::new(before.name(), change.key).ok())?
    }

    fn record(&self) -> Option<EpochRecord> {
        match Record::decode(&self.entry) {
            Ok(Record::Epoch(change)) => Some(change),
            _ => None,
        }
    }
}

impl fmt::Display for EpochChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = STANDARD.encode(&self.entry);
        write!(f, "size {}\nentry {entry}\n\n{}", self.size, self.note)
    }
}
