//! The embedded table: one file that grows by a line at a time.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_source::{FileMode, write_atomically};

use crate::ciphertext::Ciphertext;
use crate::store::{StoreAnswer, StoreError};
use crate::token::{Token, TokenRow, TokenRows, TokenStore};

const FORMAT: &str = "bartizan-tokens-1\n";

/// The longest value that a row has room for, as ciphertext text: card numbers, names, addresses.
const LONGEST: usize = 4 * 1024;

/// Keeps the table in one file, for one process, and its rows in memory.
///
/// Each row is a line that is appended and synced before its token is given out; a crash loses no
/// token that was told, and what it tore off at the end is cut off at the next opening. The file is
/// its owner's alone (0600). It needs no seal of its own: each value is sealed, and bound to its
/// token; the tokens themselves tell nothing.
///
/// Removed rows stay in the file as sealed lines until they outnumber the others by a thousand, or
/// by any at the next opening. Whoever must not be readable any more is [forgotten](crate::TokenVault::forget),
/// which destroys the key.
#[derive(Clone)]
pub struct TokenFile(Arc<Held>);

struct Held {
    path: PathBuf,
    capacity: usize,
    log: Mutex<Log>,
}

struct Log {
    file: File,
    /// How much of the file is known to be good.
    length: u64,
    rows: HashMap<Token, Ciphertext>,
    removed: usize,
}

/// How many more lines of removed rows than of others there may be.
const SPARE: usize = 1000;

/// Why a file of tokens could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// It holds more rows than it may.
    #[error("there are {rows} rows, and {capacity} are allowed")]
    Full {
        /// Those that there are.
        rows: usize,
        /// Those that may be.
        capacity: usize,
    },
    /// It cannot be read or written.
    #[error("cannot read or write the file of tokens")]
    Io(#[from] io::Error),
    /// It is no file of tokens, or a line in the middle of it was changed.
    #[error("line {0} is not one of a file of tokens")]
    Malformed(usize),
}

impl TokenFile {
    /// Opens a file of tokens, or makes a new one, for so many rows at most; each takes some 300
    /// bytes of memory, and of the file.
    ///
    /// # Errors
    ///
    /// [`TokenFileError`].
    pub fn open(path: &Path, capacity: usize) -> Result<Self, TokenFileError> {
        let text = match File::open(path) {
            Ok(file) => whole(file, capacity)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_atomically(path, FORMAT.as_bytes(), FileMode::PRIVATE)?;
                FORMAT.as_bytes().to_vec()
            }
            Err(error) => return Err(error.into()),
        };
        let read = read(&text)?;
        if read.rows.len() > capacity {
            return Err(TokenFileError::Full {
                rows: read.rows.len(),
                capacity,
            });
        }
        let file = OpenOptions::new().append(true).open(path)?;
        // What a crash tore off is no line, and must not become the beginning of one.
        file.set_len(read.whole as u64)?;
        file.sync_all()?;
        let mut log = Log {
            file,
            length: read.whole as u64,
            rows: read.rows,
            removed: read.removed,
        };
        if log.removed > log.rows.len() {
            log.compact(path)?;
        }
        Ok(Self(Arc::new(Held {
            path: path.to_owned(),
            capacity,
            log: Mutex::new(log),
        })))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, row: TokenRow) -> Result<bool, StoreError> {
        let mut log = self.log();
        if log.rows.len() >= self.0.capacity {
            return Ok(false);
        }
        let value = row.value.to_string();
        if value.len() > LONGEST {
            return Err(StoreError::new("the value is longer than a row"));
        }
        log.append(&format!("+ {} {value}\n", row.token))?;
        log.rows.insert(row.token, row.value);
        Ok(true)
    }

    fn take(&self, tokens: &[Token]) -> Result<usize, StoreError> {
        let mut log = self.log();
        let lines: String = tokens.iter().map(|token| format!("- {token}\n")).collect();
        if !lines.is_empty() {
            log.append(&lines)?;
        }
        let removed = tokens
            .iter()
            .filter(|token| log.rows.remove(token).is_some());
        let removed = removed.count();
        log.removed += removed;
        if log.removed > log.rows.len() + SPARE {
            // The rows are gone whether or not this succeeds; the next removal tries again.
            let _ = log.compact(&self.0.path);
        }
        Ok(removed)
    }
}

impl Log {
    /// Appends whole lines, durably, or leaves the file as it was.
    fn append(&mut self, lines: &str) -> Result<(), StoreError> {
        let written = self
            .file
            .write_all(lines.as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // If even this fails, the next opening cuts off what is no line.
            let _ = self.file.set_len(self.length);
            return Err(StoreError::new(error));
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Writes the file anew, without what was removed.
    fn compact(&mut self, path: &Path) -> io::Result<()> {
        let lines = self.rows.iter();
        let lines = lines.map(|(token, value)| format!("+ {token} {value}\n"));
        let text = lines.fold(FORMAT.to_owned(), |all, line| all + &line);
        write_atomically(path, text.as_bytes(), FileMode::PRIVATE)?;
        self.file = OpenOptions::new().append(true).open(path)?;
        self.length = text.len() as u64;
        self.removed = 0;
        Ok(())
    }
}

impl TokenStore for TokenFile {
    fn find<'s>(&'s self, token: &'s Token) -> StoreAnswer<'s, Option<TokenRow>> {
        let value = self.log().rows.get(token).cloned();
        let row = value.map(|value| TokenRow {
            token: token.clone(),
            value,
        });
        Box::pin(std::future::ready(Ok(row)))
    }

    fn insert(&self, row: TokenRow) -> StoreAnswer<'_, bool> {
        let this = self.clone();
        Box::pin(async move { blocking(move || this.add(row)).await })
    }

    fn remove<'s>(&'s self, rows: TokenRows<'s>) -> StoreAnswer<'s, usize> {
        let this = self.clone();
        let meant: Vec<_> = match rows {
            TokenRows::Token(token) => self
                .log()
                .rows
                .get_key_value(token)
                .into_iter()
                .map(|(token, _)| token.clone())
                .collect(),
            TokenRows::SealedUnder(keys) => {
                let log = self.log();
                let meant = log
                    .rows
                    .iter()
                    .filter(|(_, value)| keys.contains(&value.key_id()));
                meant.map(|(token, _)| token.clone()).collect()
            }
        };
        Box::pin(async move { blocking(move || this.take(&meant)).await })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(StoreError::new)?
}

struct Rows {
    rows: HashMap<Token, Ciphertext>,
    removed: usize,
    /// How many bytes are whole lines.
    whole: usize,
}

/// The rows of a file. What stands behind its last line end was torn off by a crash.
fn read(bytes: &[u8]) -> Result<Rows, TokenFileError> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n');
    let whole = whole.map_or(0, |end| end + 1);
    let text = std::str::from_utf8(bytes.get(..whole).unwrap_or_default());
    let text = text.map_err(|_| TokenFileError::Malformed(1))?;
    let lines = text
        .strip_prefix(FORMAT)
        .ok_or(TokenFileError::Malformed(1))?;
    let mut rows = Rows {
        rows: HashMap::new(),
        removed: 0,
        whole,
    };
    for (number, line) in lines.lines().enumerate() {
        let malformed = || TokenFileError::Malformed(number + 2);
        if let Some(row) = line.strip_prefix("+ ") {
            let (token, value) = row.split_once(' ').ok_or_else(malformed)?;
            let token: Token = token.parse().map_err(|_| malformed())?;
            let value: Ciphertext = value.parse().map_err(|_| malformed())?;
            rows.rows.insert(token, value);
        } else {
            let token = line.strip_prefix("- ").ok_or_else(malformed)?;
            let token: Token = token.parse().map_err(|_| malformed())?;
            rows.removed += usize::from(rows.rows.remove(&token).is_some());
        }
    }
    Ok(rows)
}

/// The rows of a file, in the order of their tokens.
#[cfg(feature = "fuzzing")]
pub(crate) fn rows_of(bytes: &[u8]) -> Option<Vec<TokenRow>> {
    let rows = read(bytes).ok()?.rows.into_iter();
    let mut rows: Vec<_> = rows
        .map(|(token, value)| TokenRow { token, value })
        .collect();
    rows.sort_by(|a, b| a.token.cmp(&b.token));
    Some(rows)
}

/// The bytes of a file, unless it is larger than one of this capacity can be.
fn whole(file: File, capacity: usize) -> io::Result<Vec<u8>> {
    let lines = capacity.saturating_mul(3).saturating_add(2 * SPARE) as u64;
    let most = lines.saturating_mul(LONGEST as u64);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other("larger than a file of tokens may be"));
    }
    Ok(bytes)
}

impl std::fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenFile")
            .field("path", &self.0.path)
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
