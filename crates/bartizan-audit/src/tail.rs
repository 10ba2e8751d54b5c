//! Follows a ledger for a sink, from where the sink stopped.

use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use bartizan_source::{FileMode, write_atomically};

use crate::checkpoint::decimal;
use crate::read::{LedgerReader, StoredEntry};

/// Where entries go.
///
/// `Ok` says that the sink has them for good: they are not offered again. After an error, and
/// after a crash in between, the same entries are offered again: delivery is at least once, and
/// the index of an entry, with the log's origin, is what to remove duplicates by.
///
/// A closure of the same arguments is one.
pub trait Deliver {
    /// Takes some entries, in order and without a gap behind those before.
    ///
    /// # Errors
    ///
    /// If the sink does not have all of them for good.
    fn deliver(&mut self, entries: &[StoredEntry]) -> io::Result<()>;
}

impl<D> Deliver for D
where
    D: FnMut(&[StoredEntry]) -> io::Result<()>,
{
    fn deliver(&mut self, entries: &[StoredEntry]) -> io::Result<()> {
        self(entries)
    }
}

/// Follows a ledger for one sink, never on the path of a request.
///
/// The place is kept in a file of its own. A sink that hangs, fails or comes back later misses
/// nothing while the ledger has it; the service never waits for it. [`Delivery`](crate::Delivery)
/// runs one beside a service.
#[derive(Debug)]
pub struct Tail {
    reader: LedgerReader,
    cursor: PathBuf,
    /// What was read.
    pending: Vec<StoredEntry>,
    /// How many of these the sink has.
    taken: usize,
    missed: u64,
}

impl Tail {
    /// Goes on where the cursor in this file stands. If there is no such file yet, it is made, and
    /// the tail begins with the first entry there is.
    ///
    /// What was pruned before the sink got it is [counted](Self::missed), and gone on behind.
    ///
    /// # Errors
    ///
    /// If ledger or cursor cannot be read, the cursor is of another log or cannot be made, or the
    /// ledger ends in front of it: it was cut.
    pub fn open(folder: impl AsRef<Path>, cursor: impl AsRef<Path>) -> io::Result<Self> {
        let cursor = cursor.as_ref().to_owned();
        let place = match fs::read_to_string(&cursor) {
            Ok(text) => Some(parse(&text).ok_or_else(|| invalid("the cursor cannot be read"))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let index = place.as_ref().map_or(0, |(_, index)| *index);
        let reader = LedgerReader::open_at(folder, index)?;
        let mut tail = Self {
            reader,
            cursor,
            pending: Vec::new(),
            taken: 0,
            missed: 0,
        };
        let Some((origin, _)) = place else {
            // From now on, what is pruned before it was delivered is missed.
            tail.keep(tail.reader.position())?;
            return Ok(tail);
        };
        if origin != tail.reader.origin() {
            return Err(invalid("the cursor is of another log"));
        }
        if tail.reader.position() < index {
            return Err(invalid(
                "the ledger ends in front of the cursor: it was cut",
            ));
        }
        tail.missed = tail.reader.position() - index;
        Ok(tail)
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.reader.origin()
    }

    /// The index of the next entry that the sink has not got yet.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position_behind(0)
    }

    /// How many entries behind the cursor were pruned before this tail was opened: the sink will
    /// never get them from here.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The next entries, at most so many and of so many bytes, but one at least; none if there are
    /// no more for now. They are offered again until they are [`taken`](Self::taken).
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read. Call it again later: nothing is skipped.
    pub fn ahead(&mut self, entries: usize, bytes: usize) -> io::Result<&[StoredEntry]> {
        self.load()?;
        Ok(self.loaded(entries, bytes))
    }

    /// Says that the sink has the next `count` entries for good, and keeps the place.
    ///
    /// # Errors
    ///
    /// If the place cannot be kept. The entries are offered again then.
    pub fn taken(&mut self, count: usize) -> io::Result<()> {
        let count = count.min(self.pending.len() - self.taken);
        if count > 0 {
            self.keep(self.position_behind(count))?;
            self.taken += count;
        }
        Ok(())
    }

    /// Delivers what is there, and keeps the place. Says how many entries it was; none if there
    /// are no more for now.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read, the sink did not take the entries, or the place cannot be
    /// kept. Call it again later: nothing is skipped.
    pub fn step(&mut self, sink: &mut (impl Deliver + ?Sized)) -> io::Result<usize> {
        let entries = self.ahead(usize::MAX, usize::MAX)?;
        let count = entries.len();
        if count > 0 {
            sink.deliver(entries)?;
            self.taken(count)?;
        }
        Ok(count)
    }

    /// Whether there is something to offer without reading.
    pub(crate) fn has_more(&self) -> bool {
        self.taken < self.pending.len()
    }

    /// Reads more if everything that was read is taken.
    pub(crate) fn load(&mut self) -> io::Result<()> {
        if !self.has_more() {
            self.pending = self.reader.next_batch()?;
            self.taken = 0;
        }
        Ok(())
    }

    /// As [`ahead`](Self::ahead), of what was read.
    pub(crate) fn loaded(&self, entries: usize, bytes: usize) -> &[StoredEntry] {
        let rest = self.pending.get(self.taken..).unwrap_or_default();
        let mut left = bytes;
        let fitting = rest.iter().take(entries).take_while(|entry| {
            let fits = entry.bytes.len() <= left;
            left = left.saturating_sub(entry.bytes.len());
            fits
        });
        let count = fitting.count().max(1);
        rest.get(..count).unwrap_or(rest)
    }

    /// The index behind the next `count` entries.
    fn position_behind(&self, count: usize) -> u64 {
        let next = self.pending.get(self.taken + count);
        next.map_or_else(|| self.reader.position(), |entry| entry.index)
    }

    fn keep(&self, position: u64) -> io::Result<()> {
        let place = format!("{}\n{position}\n", self.reader.origin());
        write_atomically(&self.cursor, place.as_bytes(), FileMode::PRIVATE)
    }
}

/// The log and the index that a cursor names.
pub(crate) fn parse(text: &str) -> Option<(String, u64)> {
    let (origin, index) = text.strip_suffix('\n')?.split_once('\n')?;
    Some((origin.to_owned(), decimal(index)?))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A sink of lines: a file, standard output, or whatever else can be written.
///
/// Behind a line that could not be written as a whole, the next begins on one of its own.
#[derive(Debug)]
pub struct LineSink<W> {
    renderer: crate::render::Renderer,
    out: W,
    /// Whether what was written last is a part of a line.
    torn: bool,
}

impl<W: io::Write> LineSink<W> {
    /// Writes entries as lines of this form.
    pub fn new(renderer: crate::render::Renderer, out: W) -> Self {
        Self {
            renderer,
            out,
            torn: false,
        }
    }
}

impl LineSink<SyncedFile> {
    /// Appends to a file, which is synced before entries count as delivered.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub fn append(renderer: crate::render::Renderer, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)?;
        let torn = file.metadata()?.is_file() && ends_torn(path);
        let sink = Self::new(renderer, SyncedFile(file));
        Ok(Self { torn, ..sink })
    }
}

/// Whether a file ends in the middle of a line. One that may not be read counts as whole.
fn ends_torn(path: &Path) -> bool {
    let mut last = [b'\n'];
    let read = fs::File::open(path).and_then(|mut file| {
        file.seek(io::SeekFrom::End(-1))?;
        file.read_exact(&mut last)
    });
    read.is_ok() && last != [b'\n']
}

impl<W: io::Write> LineSink<W> {
    fn put(&mut self, mut text: &[u8]) -> io::Result<()> {
        while !text.is_empty() {
            match self.out.write(text) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let (written, rest) = text.split_at_checked(count).unwrap_or((text, &[]));
                    self.torn = written.last() != Some(&b'\n');
                    text = rest;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<W: io::Write> Deliver for LineSink<W> {
    fn deliver(&mut self, entries: &[StoredEntry]) -> io::Result<()> {
        let mut lines = String::new();
        if self.torn {
            lines.push('\n');
        }
        for entry in entries {
            let line = self.renderer.render(entry);
            lines.push_str(&line.map_err(io::Error::other)?);
            lines.push('\n');
        }
        self.put(lines.as_bytes())?;
        self.out.flush()
    }
}

/// A file that is synced when it is flushed.
#[derive(Debug)]
pub struct SyncedFile(fs::File);

impl io::Write for SyncedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.sync_data()
    }
}
