//! Resealing everything that is stored, so that old keys can go.

mod run;
mod values;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::keyring::Keyring;
use crate::store::StoreError;

pub use self::values::{Replacement, SealedValues, StoredValue};

/// Puts every stored value under the key that seals now, page by page.
///
/// 1. Pages are read in ascending order of position and worked on side by side: values under
///    another key or other algorithms are opened and sealed anew; the rest stays.
/// 2. A value is replaced only where it is still what was read. Whoever wrote another meanwhile
///    sealed it anew already.
/// 3. Behind the last page of which all before it are done too, a cursor is kept. A run that was
///    cut short, wherever, resumes there and does at most the pages in flight twice.
/// 4. Keys are fetched anew for each run, so that a rotation elsewhere is not missed.
/// 5. When everything was looked at, the cursor is taken away: the next run begins anew.
///
/// The old key may be [disabled](Keyring::disable), and later destroyed, when a run that began a
/// ttl after the rotation (others may seal under the old key until then), and with the first value,
/// [left nothing](ResealProgress::is_complete).
///
/// ```
/// # use bartizan_encrypt::{Keyring, Reseal, SealedValues, StoreError};
/// # async fn run(keyring: Keyring, table: impl SealedValues) -> Result<(), Box<dyn std::error::Error>> {
/// let done = Reseal::new(keyring, table)
///     .run(|so_far| eprintln!("{} resealed, {} to look at", so_far.resealed, so_far.left))
///     .await?;
/// assert!(done.is_complete());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is resealed until it is run"]
pub struct Reseal {
    keyring: Keyring,
    values: Arc<dyn SealedValues>,
    page: NonZeroUsize,
    parallel: NonZeroUsize,
}

/// Enough to make a round trip worth it, and few to hold rows for.
const PAGE: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// A database is kept busy, and not for this alone.
const PARALLEL: NonZeroUsize = NonZeroUsize::new(4).unwrap();

impl Reseal {
    /// Reseals these values under the keys of this keyring.
    pub fn new(keyring: Keyring, values: impl SealedValues) -> Self {
        Self {
            keyring,
            values: Arc::new(values),
            page: PAGE,
            parallel: PARALLEL,
        }
    }

    /// Replaces how many values are read, and replaced, together: 256.
    pub fn with_page(mut self, values: NonZeroUsize) -> Self {
        self.page = values;
        self
    }

    /// Replaces how many pages are worked on at the same time: 4.
    pub fn with_parallelism(mut self, pages: NonZeroUsize) -> Self {
        self.parallel = pages;
        self
    }
}

impl fmt::Debug for Reseal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reseal")
            .field("values", &self.values)
            .field("page", &self.page)
            .field("parallel", &self.parallel)
            .finish_non_exhaustive()
    }
}

/// How far resealing has come, in this run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ResealProgress {
    /// Values that are under the key that seals now, and were not before.
    pub resealed: u64,
    /// Values that were so already.
    pub current: u64,
    /// Values that somebody wrote meanwhile. Another run looks at what they became.
    pub missed: u64,
    /// Values of people who were forgotten: nothing can be done about them but delete them.
    pub shredded: u64,
    /// Values that do not open: their key is unknown or disabled, or they are not where they
    /// belong.
    pub unreadable: u64,
    /// Values that are still to be looked at, as counted when the run began.
    pub left: u64,
    /// Whether the run began behind a cursor. What is in front of it was looked at by a run that
    /// was cut short, perhaps before the last rotation.
    pub resumed: bool,
}

impl ResealProgress {
    /// Whether nothing needs the old keys any more, as far as this run has seen. One that resumed
    /// has not seen everything: another has to follow.
    pub fn is_complete(&self) -> bool {
        !self.resumed && self.left == 0 && self.missed == 0 && self.unreadable == 0
    }

    /// How many values were looked at.
    pub fn examined(&self) -> u64 {
        self.resealed + self.current + self.missed + self.shredded + self.unreadable
    }

    fn add(&mut self, page: &Self) {
        self.resealed += page.resealed;
        self.current += page.current;
        self.missed += page.missed;
        self.shredded += page.shredded;
        self.unreadable += page.unreadable;
        self.left = self.left.saturating_sub(page.examined());
    }
}

/// Why a run ended early. What was done stays done; another run resumes behind it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResealError {
    /// The keys cannot be had.
    #[error("the keys cannot be had at present")]
    Keys,
    /// The store of the values failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests;
