//! Tiles, and what was pruned.

use std::io;

use super::pass::Pass;
use super::{FindingKind, Place};
use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, Tree};
use crate::note::{Note, VerifierKey};
use crate::record::{Kind, PrunedRecord};
use crate::recovery::Scan;
use crate::segment::{Frame, Header};
use crate::storage::Storage;
use crate::tile::{EpochChange, TileEdge, TileId, WIDTH, read_first, tiled};

/// Holds every tile against the tree that is computed anew.
pub(super) struct TileCheck<'s, S> {
    pub(super) storage: &'s S,
    /// How far the tiles are said to reach, until the tree gets there.
    reach: Option<Checkpoint>,
    origin: Option<String>,
    size: u64,
    edge: TileEdge,
    /// A change of epochs, with the size of the tree that ends with it.
    change: Option<(u64, Vec<u8>)>,
    /// Whether the tree was followed from its first leaf on, and everything has fitted so far.
    is_whole: bool,
    is_damaged: bool,
}

impl<'s, S: Storage> TileCheck<'s, S> {
    pub(super) fn new(storage: &'s S) -> Self {
        let reach = tiled(storage);
        let is_damaged = reach.is_err();
        let reach = reach.unwrap_or_default();
        Self {
            storage,
            size: reach.as_ref().map_or(0, |tree| tree.size),
            origin: reach.as_ref().map(|tree| tree.origin.clone()),
            reach,
            edge: TileEdge::default(),
            change: None,
            is_whole: true,
            is_damaged,
        }
    }

    /// States whether the tree is followed from its first leaf on.
    pub(super) fn set_whole(&mut self, is_whole: bool) {
        self.is_whole &= is_whole;
    }

    /// Takes what was completed in the tree; says whether the tiles fit. Once they do not, nothing
    /// more is said of them.
    pub(super) fn take(
        &mut self,
        completed: impl Iterator<Item = (u32, Hash)>,
        tree: &Tree,
    ) -> bool {
        let mut fits = true;
        for (height, hash) in completed {
            if let Some((id, hashes)) = self.edge.take(height, hash)
                && id.width(self.size) == WIDTH
            {
                fits &= self.holds(id, &hashes);
            }
        }
        if self.reach.as_ref().is_some_and(|it| it.size == tree.size())
            && let Some(reach) = self.reach.take()
        {
            let partial: Vec<_> = self.edge.partial().collect();
            fits &= reach.root == tree.root()
                && partial
                    .into_iter()
                    .all(|(id, hashes)| self.holds(id, hashes));
        }
        let says = self.is_whole && !fits;
        self.is_whole &= fits;
        !says
    }

    /// Takes an entry that may be a change of epochs.
    pub(super) fn set_change(&mut self, frame: &Frame<'_>, size: u64) {
        if frame.kind == Kind::Epoch && size <= self.size && self.is_whole {
            self.change = Some((size, frame.entry.to_vec()));
        }
    }

    /// Takes a checkpoint; says whether the change in front of it is kept as it is.
    pub(super) fn meet_change(&mut self, note: &[u8]) -> bool {
        let Some((size, entry)) = self.change.take() else {
            return true;
        };
        EpochChange::of(size, &entry, note).is_some_and(|change| {
            let kept = EpochChange::read(self.storage, change.epoch);
            kept.is_ok_and(|kept| kept == Some(change))
        })
    }

    fn holds(&self, id: TileId, hashes: &[Hash]) -> bool {
        let stored = read_first(self.storage, id, hashes.len());
        stored.is_ok_and(|stored| stored == hashes)
    }

    /// At the end, of a log of this name and size: whether the tiles are of this log, and of
    /// nothing that is not there.
    pub(super) fn reached(&self, origin: &str, size: u64) -> bool {
        let is_this = self.origin.as_ref().is_none_or(|of| of == origin);
        !self.is_damaged && is_this && (!self.is_whole || self.size <= size)
    }
}

/// What is missing in front, and the records that say that it should be.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    /// The first segment, its first entry, and the length of the one before.
    begin: Option<(u64, u64, u64)>,
    records: Vec<PrunedRecord>,
}

impl Pruned {
    pub(super) fn record(&mut self, record: PrunedRecord) {
        // The last ones count: what is missing was removed by one of them.
        if self.records.len() == 64 {
            self.records.remove(0);
        }
        self.records.push(record);
    }

    /// Whether a record says what is missing; `None` if nothing is.
    pub(super) fn verdict(&self) -> Option<bool> {
        let (segment, entries, length) = self.begin?;
        Some(self.records.iter().any(|record| {
            let is_this = record.entries == entries && record.length == length;
            // A crash can end the removing before it has reached its end.
            record.segment > segment && record.entries >= entries
                || record.segment == segment && is_this
        }))
    }
}

impl<S: Storage> Pass<'_, S> {
    /// Begins with a segment that is not the first, in front of which the hashes have to be there,
    /// and the keys.
    pub(super) fn begin_pruned(&mut self, header: Header, place: Place) {
        let begun = self.follow(&header);
        let scan = match begun {
            Ok(scan) if scan.tree == header.tree => {
                let (entries, length) = (header.tree.size(), header.previous_length);
                self.pruned.begin = Some((header.number, entries, length));
                self.report.pruned = entries;
                let is_next = place.segment == header.number
                    && (scan.epoch, scan.key) == (header.epoch, header.key)
                    && scan.origin == header.origin;
                if !is_next {
                    self.find(place, FindingKind::Header);
                }
                scan
            }
            _ => {
                self.find(place, FindingKind::MissingSegment(0));
                self.tiles.set_whole(false);
                Scan::new(&header)
            }
        };
        self.scan = Some(scan);
    }

    /// Builds the tree in front of this header from its tiles, and follows the keys.
    fn follow(&mut self, header: &Header) -> io::Result<Scan> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let first = self.key.clone().ok_or_else(missing)?;
        let size = header.tree.size();
        let reach = self.tiles.size;
        if size > reach {
            return Err(missing());
        }
        let before = Header {
            origin: first.name().to_owned(),
            number: 0,
            previous_length: 0,
            epoch: 0,
            key: *first.public(),
            tree: Tree::new(),
        };
        let mut scan = Scan::new(&before);
        scan.noted = Some(Vec::new());
        self.scan = Some(scan);
        let mut key = first;
        let mut next = self.change(1)?;
        for index in 0..size.div_ceil(WIDTH as u64) {
            let id = TileId { level: 0, index };
            let tile = read_first(self.tiles.storage, id, id.width(reach))?;
            for leaf in tile {
                let Some(scan) = self.scan.as_mut().filter(|scan| scan.tree.size() < size) else {
                    break;
                };
                scan.push(leaf);
                let noted = scan.noted.iter_mut().flat_map(|noted| noted.drain(..));
                let fits = self.tiles.take(noted, &scan.tree);
                let at = scan.tree.size();
                let place = self.place(header.number, 0);
                if !fits {
                    self.find(place, FindingKind::BadTile);
                }
                self.meet_committed(place);
                self.meet_published_pruned(at, &key);
                if let Some(change) = next.take_if(|change| change.size == at) {
                    key = self.change_key(&change, &key, leaf).ok_or_else(missing)?;
                    next = self.change(change.epoch.saturating_add(1))?;
                }
            }
        }
        self.scan.take().ok_or_else(missing)
    }

    fn change(&self, epoch: u32) -> io::Result<Option<EpochChange>> {
        EpochChange::read(self.tiles.storage, epoch)
    }

    fn change_key(
        &mut self,
        change: &EpochChange,
        before: &VerifierKey,
        leaf: Hash,
    ) -> Option<VerifierKey> {
        let scan = self.scan.as_mut()?;
        let key = change.follow(before, scan.epoch, scan.tree.root(), leaf)?;
        (scan.epoch, scan.key) = (change.epoch, *key.public());
        Some(key)
    }

    /// The checkpoint in the folder may be about a tree whose entries are pruned.
    fn meet_published_pruned(&mut self, at: u64, key: &VerifierKey) {
        let Some((Some(size), bytes)) = &self.published else {
            return;
        };
        let Some(scan) = self.scan.as_ref().filter(|_| *size == at) else {
            return;
        };
        let expected = Checkpoint::new(key.name(), at, scan.tree.root()).to_string();
        let note = Note::parse(bytes).ok();
        if note.is_some_and(|note| note.text() == expected && note.verified_by(key).is_ok()) {
            self.published = None;
        }
    }
}
