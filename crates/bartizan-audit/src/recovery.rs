//! Where a ledger's last segment ends, after whatever ended the run that wrote it.

mod examined;

use std::fmt;

use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, Tree};
use crate::note::{Note, VerifierKey};
use crate::record::{Kind, Record};
use crate::segment::{At, Frame, Header, read_frame};

pub use self::examined::Recovery;

/// What a ledger's last segment holds.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) header: Header,
    /// How many bytes count.
    pub(crate) length: usize,
    /// The tree behind them.
    pub(crate) tree: Tree,
    pub(crate) epoch: u32,
    pub(crate) key: [u8; 32],
    /// How many whole records no checkpoint covers. They are kept.
    pub(crate) unsealed: u64,
    /// How many bytes behind make no record.
    pub(crate) torn: usize,
    /// Whether the run ended in order.
    pub(crate) stopped: bool,
}

/// Why a ledger cannot be continued: this is nothing that a crash leaves behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Damage {
    /// A change of epochs is none that can follow.
    Epoch,
    /// The header cannot be read.
    Header,
    /// The header is not that of the segment with this number.
    Place,
    /// A checkpoint commits to other entries than those in front of it.
    Root,
    /// A checkpoint is not signed by the key of its epoch.
    Signature,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epoch => "a change of epochs does not fit its place",
            Self::Header => "the header of a segment cannot be read",
            Self::Place => "the header of a segment does not fit its place",
            Self::Root => "a checkpoint commits to other entries than those in front of it",
            Self::Signature => "a checkpoint is not signed by the key of its epoch",
        })
    }
}

/// Reads frames one after the other, and holds every checkpoint against the tree.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) tree: Tree,
    pub(crate) origin: String,
    pub(crate) epoch: u32,
    pub(crate) key: [u8; 32],
    /// An epoch whose change is not sealed yet.
    pub(crate) next: Option<(u32, [u8; 32])>,
    /// The hashes that belong into tiles, with their height, since somebody took them; `None` if
    /// nobody wants them.
    pub(crate) noted: Option<Vec<(u32, Hash)>>,
}

impl Scan {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            tree: header.tree.clone(),
            origin: header.origin.clone(),
            epoch: header.epoch,
            key: header.key,
            next: None,
            noted: None,
        }
    }

    /// Takes the next leaf.
    pub(crate) fn push(&mut self, leaf: Hash) {
        match &mut self.noted {
            Some(noted) => self.tree.push_noting(leaf, |height, hash| {
                if height.is_multiple_of(8) {
                    noted.push((height, hash));
                }
            }),
            None => self.tree.push(leaf),
        }
    }

    /// Takes the next frame.
    pub(crate) fn take(&mut self, frame: &Frame<'_>) -> Result<(), Damage> {
        if frame.kind == Kind::Checkpoint {
            let checked = self.check(frame.entry);
            if let Some((epoch, key)) = self.next.take() {
                (self.epoch, self.key) = (epoch, key);
            }
            return checked;
        }
        // Nothing but its checkpoint follows a change of epochs.
        if self.next.is_some() {
            return Err(Damage::Epoch);
        }
        self.push(frame.hash);
        if frame.kind == Kind::Epoch {
            let Ok(Record::Epoch(change)) = Record::decode(frame.entry) else {
                return Err(Damage::Epoch);
            };
            if self.epoch.checked_add(1) != Some(change.epoch) {
                return Err(Damage::Epoch);
            }
            self.next = Some((change.epoch, change.key));
        }
        Ok(())
    }

    fn check(&self, entry: &[u8]) -> Result<(), Damage> {
        let note = entry.get(2..).unwrap_or_default();
        let note = Note::parse(note).map_err(|_| Damage::Signature)?;
        let key = VerifierKey::new(&self.origin, self.key).map_err(|_| Damage::Signature)?;
        note.verified_by(&key).map_err(|_| Damage::Signature)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| Damage::Root)?;
        let expected = Checkpoint::new(&self.origin, self.tree.size(), self.tree.root());
        if checkpoint == expected {
            Ok(())
        } else {
            Err(Damage::Root)
        }
    }
}

/// Finds where the segment with this number ends.
///
/// What a crash can leave behind is repaired: records that no checkpoint covers are kept, a torn
/// end is given up. What only somebody who changed the file can leave behind is [`Damage`].
pub(crate) fn examine(number: u64, segment: &[u8]) -> Result<Tail, Damage> {
    let (header, begin) = Header::decode(segment).map_err(|_| Damage::Header)?;
    // What a first segment stands behind is known without any other; what the others do is left to
    // verification, which reads them all.
    let nothing = header.previous_length == 0 && header.epoch == 0 && header.tree.size() == 0;
    if header.number != number || (number == 0 && !nothing) {
        return Err(Damage::Place);
    }
    let mut scan = Scan::new(&header);
    let (mut length, mut unsealed, mut stopped) = (begin, 0, false);
    // Where a change of epochs begins that is not sealed, and the tree in front of it.
    let mut open_change = None;
    loop {
        let rest = segment.get(length..).unwrap_or_default();
        let At::Frame(frame) = read_frame(rest) else {
            break;
        };
        if frame.kind == Kind::Epoch {
            open_change = Some((length, scan.tree.clone()));
        }
        scan.take(&frame)?;
        if frame.kind == Kind::Checkpoint {
            unsealed = 0;
            open_change = None;
        } else {
            unsealed += 1;
            stopped = frame.kind == Kind::Stop;
        }
        length += frame.length;
    }
    if let Some((place, tree)) = open_change {
        // The key that it names was never used.
        length = place;
        scan.tree = tree;
        unsealed -= 1;
    }
    let behind = segment.get(length..).unwrap_or_default();
    let torn = behind
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    Ok(Tail {
        header,
        length,
        tree: scan.tree,
        epoch: scan.epoch,
        key: scan.key,
        unsealed,
        torn,
        stopped: stopped && unsealed == 0 && torn == 0,
    })
}
