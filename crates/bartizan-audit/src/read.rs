//! Reads a ledger from the outside, also while a service writes it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::merkle::{Hash, leaf_hash};
use crate::record::{Kind, Record, RecordError};
use crate::segment::{At, Header, read_frame, segment_name, segment_number};
use crate::tile::EpochChange;

/// How much is read at once, unless a batch is larger.
const CHUNK: u64 = 256 * 1024;

/// The longest header of a segment.
const HEADER: u64 = 4096;

/// A frame of length 0, behind which there is nothing yet.
const END: [u8; 4] = [0; 4];

/// An entry of a ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StoredEntry {
    /// Its place in the ledger; together with the log's origin it tells it from every other.
    pub index: u64,
    /// Its hash in the tree.
    pub hash: Hash,
    /// What is stored.
    pub bytes: Vec<u8>,
}

impl StoredEntry {
    /// The entry with these bytes, at this place of a log.
    #[must_use]
    pub fn new(index: u64, bytes: Vec<u8>) -> Self {
        Self {
            index,
            hash: leaf_hash(&bytes),
            bytes,
        }
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// If it is no record of a version that is known.
    pub fn record(&self) -> Result<Record<'_>, RecordError> {
        Record::decode(&self.bytes)
    }
}

/// Reads the entries of a ledger in order, and goes on where it stopped when there are more.
///
/// It gives what a checkpoint covers and nothing else, so that what it gave is not taken back: but
/// for a storage that fails, or loses its power, while what it was just given is read. After a
/// failure the service writes that anew behind a record of it, and it is given again, with the
/// place that it has in the ledger.
///
/// Hashes of single entries are checked, signatures are not: that is what
/// [`Verifier`](crate::Verifier) is for.
#[derive(Debug)]
pub struct LedgerReader {
    folder: PathBuf,
    segment: Option<Position>,
    index: u64,
    origin: String,
    seals: Seals,
}

/// What checkpoints said that were read.
#[derive(Debug, Default)]
pub(crate) struct Seals {
    /// The last one, as a signed note.
    pub(crate) last: Option<String>,
    /// Those that end an epoch, with the change in front of them.
    pub(crate) changes: Vec<EpochChange>,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    number: u64,
    offset: u64,
}

impl LedgerReader {
    /// Begins with the first entry that the folder holds.
    ///
    /// # Errors
    ///
    /// If there is no ledger, or it cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_at(folder, 0)
    }

    /// Begins with the entry at `index`, or with the first there is behind it.
    ///
    /// # Errors
    ///
    /// If there is no ledger, or it cannot be read.
    pub fn open_at(folder: impl AsRef<Path>, index: u64) -> io::Result<Self> {
        let folder = folder.as_ref().to_owned();
        let mut numbers: Vec<u64> = std::fs::read_dir(&folder)?
            .filter_map(|entry| segment_number(entry.ok()?.file_name().to_str()?))
            .collect();
        numbers.sort_unstable();
        let mut reader = Self {
            folder,
            segment: None,
            index: 0,
            origin: String::new(),
            seals: Seals::default(),
        };
        // The last segment that begins at or in front of the entry.
        for number in numbers {
            let Some((header, length)) = reader.header(number)? else {
                continue;
            };
            if reader.segment.is_some() && header.tree.size() > index {
                break;
            }
            reader.index = header.tree.size();
            reader.origin = header.origin;
            reader.segment = Some(Position {
                number,
                offset: length,
            });
        }
        if reader.segment.is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        while reader.index < index {
            let before = reader.index;
            reader.read(index - before)?;
            if reader.index == before {
                break;
            }
        }
        Ok(reader)
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The index of the next entry.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.index
    }

    /// What the checkpoints said that were read since this was asked last.
    pub(crate) fn take_seals(&mut self) -> Seals {
        std::mem::take(&mut self.seals)
    }

    /// The next entries; none if there are no more for now.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read, or an entry was changed.
    pub fn next_batch(&mut self) -> io::Result<Vec<StoredEntry>> {
        self.read(u64::MAX)
    }

    /// Reads at most so many entries.
    fn read(&mut self, most: u64) -> io::Result<Vec<StoredEntry>> {
        while let Some(position) = self.segment {
            // The next segment says how much of this one counts.
            let next = self.header(position.number + 1)?;
            let limit = next.as_ref().map(|(header, _)| header.previous_length);
            let entries = self.read_segment(position, limit, most)?;
            if !entries.is_empty() {
                return Ok(entries);
            }
            let Some((header, begin)) = next else {
                return Ok(Vec::new());
            };
            // A segment that ends was read to its end. Of one that was given up, more may have
            // been read than counts; that is there again.
            if self.segment.is_some_and(|at| Some(at.offset) >= limit) {
                self.index = header.tree.size();
                self.segment = Some(Position {
                    number: position.number + 1,
                    offset: begin,
                });
            }
        }
        Ok(Vec::new())
    }

    fn read_segment(
        &mut self,
        position: Position,
        limit: Option<u64>,
        most: u64,
    ) -> io::Result<Vec<StoredEntry>> {
        let path = self.folder.join(segment_name(position.number));
        let mut file = File::open(path)?;
        let mut wanted = CHUNK;
        loop {
            let available = limit.map_or(u64::MAX, |limit| limit.saturating_sub(position.offset));
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(position.offset))?;
            (&mut file)
                .take(wanted.min(available))
                .read_to_end(&mut bytes)?;
            let is_all = wanted >= available || (bytes.len() as u64) < wanted;
            let found = self.sealed(&bytes, limit.is_some() && is_all, most);
            // The prepared rest of a segment that is still written is not read to find nothing.
            let rest = bytes.get(found.whole..).unwrap_or_default();
            if limit.is_none() && found.length == 0 && rest.starts_with(&END) {
                return Ok(Vec::new());
            }
            if !found.entries.is_empty() || found.length > 0 || is_all {
                let is_short = is_all && limit.is_some_and(|_| (bytes.len() as u64) < available);
                let is_broken = found.entries.is_empty() && found.length < bytes.len();
                if is_short || (is_broken && limit.is_some()) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("segment {} was changed", position.number),
                    ));
                }
                self.index += found.entries.len() as u64;
                self.seals.last = found.seals.last.or_else(|| self.seals.last.take());
                self.seals.changes.extend(found.seals.changes);
                self.segment = Some(Position {
                    offset: position.offset + found.length as u64,
                    ..position
                });
                // Nothing but a checkpoint: more may be behind it.
                if found.entries.is_empty() && found.length > 0 && !is_all {
                    return match self.segment {
                        Some(position) => self.read_segment(position, limit, most),
                        None => Ok(Vec::new()),
                    };
                }
                return Ok(found.entries);
            }
            wanted = wanted.saturating_mul(2);
        }
    }

    /// The entries at the beginning of `bytes` that a checkpoint covers; all of them if the
    /// segment ends with `bytes`.
    fn sealed(&self, bytes: &[u8], is_end: bool, most: u64) -> Found {
        let mut found = Found::default();
        let mut entries = Vec::new();
        let mut at = 0;
        let mut index = self.index;
        while let At::Frame(frame) = read_frame(bytes.get(at..).unwrap_or_default()) {
            at += frame.length;
            if frame.kind == Kind::Checkpoint {
                found.entries.append(&mut entries);
                found.length = at;
                found.seal(self.index, frame.entry.get(2..).unwrap_or_default());
                continue;
            }
            entries.push(StoredEntry {
                index,
                hash: frame.hash,
                bytes: frame.entry.to_vec(),
            });
            index += 1;
            // Whether what was read so far is sealed shows at the next checkpoint.
            if found.entries.len() as u64 >= most {
                break;
            }
        }
        found.whole = at;
        if is_end {
            found.entries.append(&mut entries);
            found.length = at;
        }
        if found.entries.len() as u64 > most {
            found.cut(bytes, most);
        }
        found
    }

    fn header(&self, number: u64) -> io::Result<Option<(Header, u64)>> {
        let file = match File::open(self.folder.join(segment_name(number))) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(HEADER).read_to_end(&mut bytes)?;
        let (header, length) = Header::decode(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some((header, length as u64)))
    }
}

/// Entries, and how many bytes they take.
#[derive(Default)]
struct Found {
    entries: Vec<StoredEntry>,
    length: usize,
    /// How many bytes whole frames take, also those that no checkpoint covers.
    whole: usize,
    seals: Seals,
}

impl Found {
    /// Notes a checkpoint behind the entries so far, of which `index` were there before.
    fn seal(&mut self, index: u64, note: &[u8]) {
        let size = index + self.entries.len() as u64;
        self.seals.last = String::from_utf8(note.to_vec()).ok();
        let last = self.entries.last();
        let change = last.and_then(|last| EpochChange::of(size, &last.bytes, note));
        self.seals.changes.extend(change);
    }

    /// Keeps the first `most` entries.
    fn cut(&mut self, bytes: &[u8], most: u64) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.entries.truncate(most);
        // They may be about entries that are cut off.
        self.seals = Seals::default();
        let (mut kept, mut at) = (0, 0);
        while kept < most
            && let At::Frame(frame) = read_frame(bytes.get(at..).unwrap_or_default())
        {
            at += frame.length;
            kept += usize::from(frame.kind != Kind::Checkpoint);
        }
        self.length = at;
    }
}

#[cfg(test)]
mod tests;
