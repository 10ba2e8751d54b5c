//! Follows a ledger for a sink, from where the sink stopped.

use std::fs;
use std::io;
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
/// nothing; the service never waits for it.
#[derive(Debug)]
pub struct Tail {
    reader: LedgerReader,
    cursor: PathBuf,
    /// What was offered and not taken.
    pending: Vec<StoredEntry>,
}

impl Tail {
    /// Goes on where the cursor in this file stands, or begins with the first entry if there is no
    /// such file yet.
    ///
    /// # Errors
    ///
    /// If ledger or cursor cannot be read, the cursor is of another log, or the ledger ends in
    /// front of it: it was cut.
    pub fn open(folder: impl AsRef<Path>, cursor: impl AsRef<Path>) -> io::Result<Self> {
        let cursor = cursor.as_ref().to_owned();
        let place = match fs::read_to_string(&cursor) {
            Ok(text) => Some(parse(&text).ok_or_else(|| invalid("the cursor cannot be read"))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let index = place.as_ref().map_or(0, |(_, index)| *index);
        let reader = LedgerReader::open_at(folder, index)?;
        if let Some((origin, _)) = place {
            if origin != reader.origin() {
                return Err(invalid("the cursor is of another log"));
            }
            if reader.position() < index {
                return Err(invalid(
                    "the ledger ends in front of the cursor: it was cut",
                ));
            }
        }
        Ok(Self {
            reader,
            cursor,
            pending: Vec::new(),
        })
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.reader.origin()
    }

    /// The index of the next entry that the sink has not got yet.
    #[must_use]
    pub fn position(&self) -> u64 {
        let first = self.pending.first();
        first.map_or_else(|| self.reader.position(), |entry| entry.index)
    }

    /// Delivers what is there, and keeps the place. Says how many entries it was; none if there
    /// are no more for now.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read, the sink did not take the entries, or the place cannot be
    /// kept. Call it again later: nothing is skipped.
    pub fn step(&mut self, sink: &mut (impl Deliver + ?Sized)) -> io::Result<usize> {
        if self.pending.is_empty() {
            self.pending = self.reader.next_batch()?;
        }
        let count = self.pending.len();
        if count == 0 {
            return Ok(0);
        }
        sink.deliver(&self.pending)?;
        let place = format!("{}\n{}\n", self.reader.origin(), self.reader.position());
        write_atomically(&self.cursor, place.as_bytes(), FileMode::PRIVATE)?;
        self.pending.clear();
        Ok(count)
    }
}

fn parse(text: &str) -> Option<(String, u64)> {
    let (origin, index) = text.strip_suffix('\n')?.split_once('\n')?;
    Some((origin.to_owned(), decimal(index)?))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A sink of lines: a file, standard output, or whatever else can be written.
#[derive(Debug)]
pub struct LineSink<W> {
    renderer: crate::render::Renderer,
    out: W,
}

impl<W: io::Write> LineSink<W> {
    /// Writes entries as lines of this form.
    pub fn new(renderer: crate::render::Renderer, out: W) -> Self {
        Self { renderer, out }
    }
}

impl LineSink<SyncedFile> {
    /// Appends to a file, which is synced before entries count as delivered.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub fn append(renderer: crate::render::Renderer, path: impl AsRef<Path>) -> io::Result<Self> {
        let file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)?;
        Ok(Self::new(renderer, SyncedFile(file)))
    }
}

impl<W: io::Write> Deliver for LineSink<W> {
    fn deliver(&mut self, entries: &[StoredEntry]) -> io::Result<()> {
        let mut lines = String::new();
        for entry in entries {
            let line = self.renderer.render(entry);
            lines.push_str(&line.map_err(io::Error::other)?);
            lines.push('\n');
        }
        self.out.write_all(lines.as_bytes())?;
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
