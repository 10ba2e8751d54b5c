//! One pass over all segments.

mod met;

use super::tiles::{Pruned, TileCheck};
use super::{Finding, FindingKind, Place, Verification};
use crate::checkpoint::Checkpoint;
use crate::merkle::{EMPTY_ROOT, Tree};
use crate::note::VerifierKey;
use crate::record::{Kind, Record, Totals};
use crate::recovery::{Damage, Scan};
use crate::segment::{At, Frame, Header, read_frame};
use crate::storage::Storage;

/// How many findings are kept. Of what is worth a note there can be any number: a flood of
/// requests leaves a record of loss for each batch.
const MOST_FINDINGS: usize = 1000;

pub(super) struct Pass<'s, S: Storage> {
    running: bool,
    pub(super) key: Option<VerifierKey>,
    /// What the ledger has to contain, the largest first.
    committed: Vec<Checkpoint>,
    /// The checkpoint in the folder, until it is found in the ledger.
    pub(super) published: Option<(Option<u64>, Vec<u8>)>,
    pub(super) scan: Option<Scan>,
    pub(super) tiles: TileCheck<'s, S>,
    /// What is missing in front, and the records that say that it should be.
    pub(super) pruned: Pruned,
    /// Number and length of the segment before.
    previous: Option<(u64, u64)>,
    /// Whether something did not fit, so that what follows in this segment proves nothing.
    lost_track: bool,
    unsealed: u64,
    stopped: bool,
    pub(super) report: Verification,
}

impl<'s, S: Storage> Pass<'s, S> {
    pub(super) fn new(storage: &'s S, running: bool, mut committed: Vec<Checkpoint>) -> Self {
        committed.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        Self {
            running,
            key: None,
            committed,
            published: None,
            scan: None,
            tiles: TileCheck::new(storage),
            pruned: Pruned::default(),
            previous: None,
            lost_track: false,
            unsealed: 0,
            stopped: false,
            report: Verification {
                findings: Vec::new(),
                entries: 0,
                root: EMPTY_ROOT,
                bytes: 0,
                segments: 0,
                checkpoints: 0,
                epoch: 0,
                runs: 0,
                totals: Totals::default(),
                lost: 0,
                last_time: 0,
                pruned: 0,
                witnessed: None,
            },
        }
    }

    pub(super) fn set_key(
        &mut self,
        pinned: Option<VerifierKey>,
        own: Result<Option<VerifierKey>, ()>,
    ) {
        let place = Place::default();
        let own = own.unwrap_or_else(|()| {
            self.find(place, FindingKind::BadKey);
            None
        });
        match (&pinned, &own) {
            (Some(pinned), Some(own)) if pinned != own => self.find(place, FindingKind::BadKey),
            (None, Some(_)) => self.find(place, FindingKind::Unpinned),
            (None, None) => self.find(place, FindingKind::NoKey),
            _ => {}
        }
        self.key = pinned.or(own);
    }

    pub(super) fn set_published(&mut self, published: Option<(Option<u64>, Vec<u8>)>) {
        self.published = published;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.report.bytes
    }

    /// Reads the next segment; `next` is the one behind it.
    pub(super) fn segment(
        &mut self,
        number: u64,
        bytes: &[u8],
        is_last: bool,
        next: Option<&[u8]>,
    ) {
        self.report.segments += 1;
        self.report.bytes += bytes.len() as u64;
        let Ok((header, begin)) = Header::decode(bytes) else {
            self.find(self.place(number, 0), FindingKind::Header);
            self.previous = Some((number, bytes.len() as u64));
            self.lost_track = true;
            return;
        };
        self.begin(number, header);
        // The next segment says how much of this one counts.
        let following = next.and_then(|next| Header::decode(next).ok());
        let limit = following
            .as_ref()
            .and_then(|(header, _)| usize::try_from(header.previous_length).ok());
        let counted = bytes.get(..limit.unwrap_or(bytes.len())).unwrap_or(bytes);
        let end = self.frames(number, counted, begin, limit.is_some());
        let given_up = || {
            let (_, begin) = following.as_ref()?;
            let At::Frame(frame) = read_frame(next?.get(*begin..)?) else {
                return None;
            };
            match Record::decode(frame.entry) {
                Ok(Record::Fault(fault)) => Some(fault.segment == number),
                _ => None,
            }
        };
        let behind = bytes.get(end..).unwrap_or_default();
        let used = behind.iter().rposition(|byte| *byte != 0);
        if let Some(used) = used {
            let kind = if given_up() == Some(true) {
                FindingKind::Leftover(used as u64 + 1)
            } else if is_last {
                FindingKind::BrokenFrame
            } else {
                FindingKind::Trailing
            };
            self.find(self.place(number, end), kind);
        }
        self.previous = Some((number, end as u64));
    }

    fn begin(&mut self, number: u64, header: Header) {
        let place = self.place(number, 0);
        let resynchronise = std::mem::take(&mut self.lost_track);
        match (&self.scan, self.previous) {
            (Some(scan), Some((before, length))) => {
                let expected = Header {
                    origin: scan.origin.clone(),
                    number: before + 1,
                    previous_length: length,
                    epoch: scan.epoch,
                    key: scan.key,
                    tree: scan.tree.clone(),
                };
                if number != before + 1 {
                    self.find(place, FindingKind::MissingSegment(before + 1));
                } else if header != expected && !resynchronise {
                    self.find(place, FindingKind::Header);
                } else if header == expected {
                    return;
                }
            }
            _ if number == 0 => self.begin_first(&header, place),
            _ => return self.begin_pruned(header, place),
        }
        // Tiles are held against a tree that was followed from its first leaf on.
        self.tiles.set_whole(number == 0);
        let mut scan = Scan::new(&header);
        scan.noted = (number == 0).then(Vec::new);
        self.scan = Some(scan);
        self.meet_committed(place);
    }

    fn begin_first(&mut self, header: &Header, place: Place) {
        let (origin, key) = match &self.key {
            Some(key) => (key.name(), *key.public()),
            None => (header.origin.as_str(), header.key),
        };
        let expected = Header {
            origin: origin.to_owned(),
            number: 0,
            previous_length: 0,
            epoch: 0,
            key,
            tree: Tree::new(),
        };
        if *header != expected {
            self.find(place, FindingKind::Header);
        }
    }

    /// Reads the frames of a segment, and says where they end.
    fn frames(&mut self, number: u64, bytes: &[u8], begin: usize, is_exact: bool) -> usize {
        let mut offset = begin;
        loop {
            let rest = bytes.get(offset..).unwrap_or_default();
            if rest.is_empty() {
                return offset;
            }
            let place = self.place(number, offset);
            match read_frame(rest) {
                At::Frame(frame) => {
                    self.frame(&frame, place);
                    offset += frame.length;
                }
                At::End if !is_exact => return offset,
                At::End | At::Broken => {
                    // What stands behind the last frame of the last segment is judged there.
                    if is_exact {
                        self.find(place, FindingKind::BrokenFrame);
                        self.lost_track = true;
                        return bytes.len();
                    }
                    return offset;
                }
            }
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, place: Place) {
        let Some(scan) = &mut self.scan else {
            return;
        };
        let taken = scan.take(frame);
        let size = scan.tree.size();
        let noted = scan.noted.iter_mut().flat_map(|noted| noted.drain(..));
        if !self.tiles.take(noted, &scan.tree) {
            self.find(place, FindingKind::BadTile);
        }
        if let Err(damage) = taken {
            let kind = match damage {
                Damage::Epoch | Damage::Header | Damage::Place => FindingKind::BadEpoch,
                Damage::Root => FindingKind::WrongRoot,
                Damage::Signature => FindingKind::ForeignSignature,
            };
            // One finding tells it; those that follow from it would hide others.
            if !std::mem::replace(&mut self.lost_track, true) {
                self.find(place, kind);
            }
            return;
        }
        if frame.kind == Kind::Checkpoint {
            self.report.checkpoints += 1;
            self.unsealed = 0;
            let note = frame.entry.get(2..).unwrap_or_default();
            self.meet_published(note);
            if !self.tiles.meet_change(note) {
                self.find(place, FindingKind::BadTile);
            }
            return;
        }
        self.tiles.set_change(frame, size);
        self.unsealed += 1;
        self.stopped = frame.kind == Kind::Stop;
        self.meet_committed(place);
        // The body of a request says nothing about the ledger; its hash is what counts here.
        if frame.kind != Kind::Request {
            match Record::decode(frame.entry) {
                Ok(record) => self.record(&record, place),
                Err(_) => self.find(place, FindingKind::MalformedRecord),
            }
        }
    }

    pub(super) fn finish(mut self) -> Verification {
        let size = self.scan.as_ref().map_or(0, |scan| scan.tree.size());
        let place = Place {
            segment: self.previous.map_or(0, |(number, _)| number),
            offset: self.previous.map_or(0, |(_, length)| length),
            entry: size,
        };
        let origin = self.scan.as_ref().map_or("", |scan| scan.origin.as_str());
        if !self.tiles.reached(origin, size) {
            self.find(place, FindingKind::BadTile);
        }
        match self.pruned.verdict() {
            Some(true) => self.find(place, FindingKind::Pruned(self.report.pruned)),
            Some(false) => self.find(place, FindingKind::MissingSegment(0)),
            None => {}
        }
        for checkpoint in std::mem::take(&mut self.committed) {
            let committed = checkpoint.size;
            self.find(place, FindingKind::Truncated { committed });
        }
        match self.published.take() {
            Some((Some(committed), _)) if committed > size => {
                self.find(place, FindingKind::Truncated { committed });
            }
            // While a service runs, it may be of a time after its segment was read.
            Some(_) => self.find(place, FindingKind::ForeignSignature),
            None => {}
        }
        if self.unsealed > 0 && !self.running {
            self.find(place, FindingKind::Unsealed(self.unsealed));
        }
        if !self.stopped && !self.running {
            self.find(place, FindingKind::NotStopped);
        }
        self.report.entries = size;
        if let Some(scan) = &self.scan {
            self.report.root = scan.tree.root();
            self.report.epoch = scan.epoch;
        }
        self.report
    }

    pub(super) fn place(&self, segment: u64, offset: usize) -> Place {
        Place {
            segment,
            offset: offset as u64,
            entry: self.scan.as_ref().map_or(0, |scan| scan.tree.size()),
        }
    }

    pub(super) fn find(&mut self, place: Place, kind: FindingKind) {
        let findings = &mut self.report.findings;
        if findings.len() >= MOST_FINDINGS {
            // What is worse takes the place of what is not: the verdict follows from these.
            let least = findings.iter().map(Finding::severity).min();
            let least = least.filter(|least| *least < kind.severity());
            let Some(last) = findings
                .iter()
                .rposition(|held| Some(held.severity()) == least)
            else {
                return;
            };
            findings.remove(last);
        }
        findings.push(Finding { place, kind });
    }
}

/// Whether a segment ends with a whole frame.
pub(super) fn ends_whole(segment: &[u8]) -> bool {
    let Ok((_, mut offset)) = Header::decode(segment) else {
        return false;
    };
    loop {
        match read_frame(segment.get(offset..).unwrap_or_default()) {
            At::Frame(frame) => offset += frame.length,
            At::End => return true,
            At::Broken => return false,
        }
    }
}
