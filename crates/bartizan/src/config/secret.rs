//! Secrets: named in the file, never written in it.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::node::At;
use crate::config::problem::Problem;

/// The largest secret, in bytes: far more than any key in PEM has.
const LARGEST: usize = 64 * 1024;

/// A secret, and where it comes from. Wiped when it is dropped; `Debug` shows where from alone.
#[derive(Clone)]
pub(crate) struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    origin: String,
}

impl Secret {
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>, origin: String) -> Self {
        Self { bytes, origin }
    }

    /// Reads a file up to its end, without the line end that editors leave there.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let mut bytes = read_file(path, LARGEST)?;
        while bytes.last().is_some_and(|last| b"\r\n".contains(last)) {
            bytes.pop();
        }
        if bytes.is_empty() {
            return Err(format!("{} is empty", path.display()));
        }
        Ok(Self::new(bytes, format!("file:{}", path.display())))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// As a text, if it is one.
    pub(crate) fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// As a text, or what is wrong with the option that it stands in.
    #[allow(dead_code, reason = "some builds have nothing that takes one")]
    pub(crate) fn text(&self, at: At, path: &str) -> Result<&str, Problem> {
        let text = self.expose_text();
        text.ok_or_else(|| Problem::new(at, path, "is no text"))
    }

    /// Where it comes from, as the file says it.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }
}

/// Two are the same if their bytes are: told in the same time wherever they differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let differences = self.bytes.iter().zip(other.bytes.iter());
        let difference = differences.fold(0, |all, (a, b)| all | (a ^ b));
        self.bytes.len() == other.bytes.len() && difference == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.origin)
    }
}

/// A whole file of at most so many bytes.
pub(crate) fn read_file(path: &Path, largest: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let about = |error: &dyn fmt::Display| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(|error| about(&error))?;
    // Of its final size from the beginning: what grows leaves copies behind.
    let size = file.metadata().map_or(0, |it| it.len());
    let room = usize::try_from(size).unwrap_or(largest).min(largest);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    let mut limited = file.take(largest as u64 + 1);
    let read = limited.read_to_end(&mut bytes);
    read.map_err(|error| about(&error))?;
    if bytes.len() > largest {
        return Err(about(&format_args!("more than {largest} bytes")));
    }
    Ok(bytes)
}
