//! Where it is written when keys were last used.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::WallTime;
use bartizan_source::{FileMode, write_atomically};

use crate::file::{parse_uses, uses};
use crate::format::KeyId;
use crate::source::{KeySource, KeySourceError, KeyUse};
use crate::usage::Uses;

/// The largest file of uses that is read: some hundred thousand keys.
const LIMIT: u64 = 8 << 20;

/// Where it is written when keys were last used.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    File(UsesFile),
    Source(Arc<dyn KeySource>),
}

/// A file that says when keys were last used: beside the file of keys, which the service only
/// reads.
///
/// One JSON object of identifiers and seconds since 1970. Services that share one may lose each
/// other's last minute.
#[derive(Clone, Debug)]
pub struct UsesFile(PathBuf);

impl Sink {
    pub(crate) async fn record(
        &self,
        untold: &[KeyUse],
        known: &Arc<Uses>,
    ) -> Result<(), KeySourceError> {
        match self {
            Self::Source(source) => source.record_uses(untold).await,
            Self::File(file) => {
                let (file, untold, known) = (file.clone(), untold.to_vec(), Arc::clone(known));
                let done = tokio::task::spawn_blocking(move || file.add(&untold, &known)).await;
                match done {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(KeySourceError::new(error)),
                    Err(error) => Err(KeySourceError::new(error)),
                }
            }
        }
    }
}

impl UsesFile {
    /// The file at this path. It need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// When each key was last used. Empty if the file is not there or cannot be understood.
    ///
    /// # Errors
    ///
    /// If it is there and cannot be read, or is larger than 8 MiB.
    pub fn read(&self) -> io::Result<impl Iterator<Item = KeyUse> + use<>> {
        let uses = self.load()?;
        Ok(uses.into_iter().map(|(id, seconds)| KeyUse {
            id,
            at: WallTime::from_unix_seconds(seconds),
        }))
    }

    fn load(&self) -> io::Result<BTreeMap<KeyId, u64>> {
        let length = match std::fs::metadata(&self.0) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        if length > LIMIT {
            return Err(io::Error::other("the file of uses is larger than 8 MiB"));
        }
        Ok(parse_uses(&std::fs::read(&self.0)?))
    }

    fn add(&self, untold: &[KeyUse], known: &Uses) -> io::Result<()> {
        let mut all = self.load()?;
        for used in untold {
            let at = all.entry(used.id).or_default();
            *at = (*at).max(used.at.unix_seconds());
        }
        // Keys that are gone leave no trace here.
        all.retain(|id, _| known.knows(*id));
        write_atomically(&self.0, uses(&all).as_bytes(), FileMode::GROUP_READABLE)
    }
}
