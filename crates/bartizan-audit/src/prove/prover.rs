//! Finds the hashes that proofs take, in tiles and behind them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::merkle::{EMPTY_ROOT, Hash, Tree, node_hash};
use crate::note::Note;
use crate::read::LedgerReader;
use crate::storage::{Disk, Storage as _};
use crate::tile::{EpochChange, TileId, WIDTH, read_first, tiled};
use crate::writer::CHECKPOINT_FILE;

/// Proves things about a ledger in a folder, running or not.
///
/// It reads the hashes of finished segments from their tiles, as it needs them, and keeps those of
/// later entries in memory, 32 bytes each. What was pruned can be proven as before.
#[derive(Debug)]
pub struct Prover {
    disk: Disk,
    reader: LedgerReader,
    /// How far the tiles reach, and the leaves behind them.
    reach: u64,
    leaves: Vec<Hash>,
    /// Changes of epochs among those leaves.
    changes: BTreeMap<u32, EpochChange>,
    checkpoint: Option<String>,
}

impl Prover {
    /// Reads the ledger in a folder.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or its beginning is missing, and its hashes as well.
    pub fn load(folder: impl AsRef<Path>) -> io::Result<Self> {
        let folder = folder.as_ref();
        let disk = Disk::new(folder);
        let reach = tiled(&disk)?.map_or(0, |tree| tree.size);
        let reader = LedgerReader::open_at(folder, reach)?;
        if reader.position() != reach {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the beginning of the ledger is missing",
            ));
        }
        let mut prover = Self {
            disk,
            reader,
            reach,
            leaves: Vec::new(),
            changes: BTreeMap::new(),
            checkpoint: None,
        };
        prover.advance()?;
        Ok(prover)
    }

    /// Reads what was written since.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn advance(&mut self) -> io::Result<()> {
        loop {
            let batch = self.reader.next_batch()?;
            let seals = self.reader.take_seals();
            let changes = seals.changes.into_iter();
            self.changes
                .extend(changes.map(|change| (change.epoch, change)));
            self.checkpoint = seals.last.or_else(|| self.checkpoint.take());
            if batch.is_empty() {
                break;
            }
            if batch
                .first()
                .is_some_and(|entry| entry.index != self.size())
            {
                let text = "what was read before is not what the ledger has";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            self.leaves.extend(batch.iter().map(|entry| entry.hash));
        }
        // What is in tiles by now need not be held.
        let reach = tiled(&self.disk)?.map_or(0, |tree| tree.size);
        let behind = usize::try_from(reach.saturating_sub(self.reach));
        if let Ok(behind) = behind
            && behind <= self.leaves.len()
        {
            self.leaves.drain(..behind);
            self.reach = reach.max(self.reach);
            self.changes.retain(|_, change| change.size > reach);
        }
        Ok(())
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.reader.origin()
    }

    /// How many entries there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.reach + self.leaves.len() as u64
    }

    /// The checkpoint over all of them, as a signed note; `None` if the ledger has none of that
    /// size.
    #[must_use]
    pub fn checkpoint(&self) -> Option<String> {
        let own = || String::from_utf8(self.disk.read(CHECKPOINT_FILE).ok()?).ok();
        let note = self.checkpoint.clone().or_else(own)?;
        let parsed = Note::parse(note.as_bytes()).ok();
        let parsed = parsed.and_then(|note| Checkpoint::parse(note.text()).ok());
        parsed
            .is_some_and(|checkpoint| checkpoint.size == self.size())
            .then_some(note)
    }

    /// Proves that the entry at `index` is in the tree of the first `size` entries.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there are no such; if a tile cannot be
    /// read.
    pub fn inclusion(&self, index: u64, size: u64) -> io::Result<Vec<Hash>> {
        if index >= size || size > self.size() {
            return Err(missing(
                format!("there is no entry {index} among {size}"),
                self,
            ));
        }
        let (mut begin, mut end, mut proof) = (0, size, Vec::new());
        while let Some(middle) = middle(begin, end) {
            if index < middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(begin, middle)?);
                begin = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// Proves that the tree of the first `new` entries continues that of the first `old`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there are no such, or `old` is 0, of which
    /// there is nothing to prove; if a tile cannot be read.
    pub fn consistency(&self, old: u64, new: u64) -> io::Result<Vec<Hash>> {
        if old == 0 || old > new || new > self.size() {
            return Err(missing(
                format!("no tree of {new} continues one of {old}"),
                self,
            ));
        }
        let (mut begin, mut end, mut proof) = (0, new, Vec::new());
        while old != end
            && let Some(middle) = middle(begin, end)
        {
            if old <= middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(begin, middle)?);
                begin = middle;
            }
        }
        if begin > 0 {
            proof.push(self.range(begin, end)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// The root of the tree of the first `size` entries.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there are not that many; if a tile cannot
    /// be read.
    pub fn root(&self, size: u64) -> io::Result<Hash> {
        match size {
            0 => Ok(EMPTY_ROOT),
            size if size > self.size() => {
                Err(missing(format!("there are no {size} entries"), self))
            }
            size => self.range(0, size),
        }
    }

    /// How this epoch began; `None` if it has not.
    pub(crate) fn change(&self, epoch: u32) -> io::Result<Option<EpochChange>> {
        match self.changes.get(&epoch) {
            Some(change) => Ok(Some(change.clone())),
            None => EpochChange::read(&self.disk, epoch),
        }
    }

    /// The root of the tree of the leaves from `begin` to in front of `end`; `begin` is a multiple
    /// of the width of each complete subtree among them.
    fn range(&self, begin: u64, end: u64) -> io::Result<Hash> {
        let width = end - begin;
        if width.is_power_of_two() {
            return self.node(width.trailing_zeros(), begin);
        }
        match middle(begin, end) {
            Some(middle) => {
                let left = self.range(begin, middle)?;
                Ok(node_hash(&left, &self.range(middle, end)?))
            }
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The root of the complete subtree of this height that begins with this leaf.
    fn node(&self, height: u32, begin: u64) -> io::Result<Hash> {
        if begin + (1 << height) <= self.reach {
            return self.tiled(height, begin);
        }
        if height == 0 {
            let at = usize::try_from(begin - self.reach).ok();
            let leaf = at.and_then(|at| self.leaves.get(at)).copied();
            return leaf.ok_or_else(|| io::ErrorKind::InvalidInput.into());
        }
        let left = self.node(height - 1, begin)?;
        let right = self.node(height - 1, begin + (1 << (height - 1)))?;
        Ok(node_hash(&left, &right))
    }

    /// The same, of a subtree that the tiles reach.
    fn tiled(&self, height: u32, begin: u64) -> io::Result<Hash> {
        let level = height / 8;
        // Which of the level's hashes it begins with, and how many it has.
        let (first, count) = (begin >> (level * 8), 1_usize << (height % 8));
        let id = TileId {
            level,
            index: first / WIDTH as u64,
        };
        let tile = read_first(&self.disk, id, id.width(self.reach))?;
        let first = usize::try_from(first % WIDTH as u64).unwrap_or(WIDTH);
        let hashes = tile.get(first..first + count);
        let mut part = Tree::new();
        hashes
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .iter()
            .for_each(|hash| part.push(*hash));
        Ok(part.root())
    }
}

//= RFC 6962 §2.1: let k be the largest power of two smaller than n.
fn middle(begin: u64, end: u64) -> Option<u64> {
    let width = end.checked_sub(begin).filter(|width| *width > 1)?;
    Some(begin + (1 << (63 - (width - 1).leading_zeros())))
}

fn missing(what: String, prover: &Prover) -> io::Error {
    let text = format!("{what}: the ledger has {} entries", prover.size());
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
