//! Values that may have been stored before they were sealed: both are read, until a day.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_core::{Clock, SystemClock, WallTime};
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

use crate::ciphertext::Ciphertext;
use crate::context::Place;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::prepared::Prepared;
use crate::value::{Encrypted, Field, Plain};

/// A value as a column has it that is being migrated: sealed, or as it was before.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a value is either")]
pub enum Stored<T: Zeroize, F> {
    /// As it was before its kind was sealed.
    Plain(Plain<T>),
    /// Sealed.
    Sealed(Encrypted<T, F>),
}

impl<T: DeserializeOwned + Zeroize, F> Stored<T, F> {
    /// Reads a value in its JSON form: a ciphertext if it is a text that claims to be one.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](EncryptErrorKind::InvalidValue) if it is neither.
    pub fn from_json(json: &str) -> Result<Self, EncryptError> {
        let claimed = crate::json::text_of(json).filter(|text| Ciphertext::is_claimed_by(text));
        if let Some(text) = claimed {
            return text.parse().map(Self::Sealed);
        }
        // The error of the parser may quote the value; it ends here.
        let plain = serde_json::from_str(json).map(Plain::new);
        plain
            .map(Self::Plain)
            .map_err(|_| EncryptErrorKind::InvalidValue.into())
    }
}

impl<F> Stored<String, F> {
    /// Takes a column of text.
    ///
    /// # Errors
    ///
    /// If it claims to be a ciphertext and is none.
    pub fn from_text(text: &str) -> Result<Self, EncryptError> {
        match Ciphertext::is_claimed_by(text) {
            true => text.parse().map(Self::Sealed),
            false => Ok(Self::Plain(Plain::new(text.to_owned()))),
        }
    }
}

/// Lets a service read values that are not sealed yet, until a day, and counts them.
///
/// When the count stays at zero the migration is done, whatever the day: then read
/// [`Encrypted`] alone. Cheap to clone; clones share the count.
///
/// ```
/// use bartizan_core::WallTime;
/// use bartizan_encrypt::{EncryptError, Field, Migration, Place, Prepared, Stored};
///
/// fn read<F: Field>(
///     migration: &Migration,
///     keys: &Prepared,
///     here: &Place,
///     column: &str,
/// ) -> Result<usize, EncryptError> {
///     let ssn = migration.open(keys, here, Stored::<String, F>::from_text(column)?)?;
///     Ok(ssn.expose().len())
/// }
///
/// let migration = Migration::until(WallTime::from_unix_seconds(1_800_000_000));
/// assert_eq!(migration.met(), 0);
/// ```
#[derive(Clone)]
pub struct Migration {
    end: WallTime,
    met: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

impl Migration {
    /// Values that are not sealed are read until this moment.
    pub fn until(end: WallTime) -> Self {
        Self {
            end,
            met: Arc::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many values were met that are not sealed, those that were refused included.
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }

    /// The value, opened if it is sealed.
    ///
    /// # Errors
    ///
    /// [`PlaintextFound`](EncryptErrorKind::PlaintextFound) if it is not, and the day has come;
    /// otherwise as [`Prepared::open`].
    pub fn open<T: DeserializeOwned + Zeroize, F: Field>(
        &self,
        keys: &Prepared,
        place: &Place,
        stored: Stored<T, F>,
    ) -> Result<Plain<T>, EncryptError> {
        match stored {
            Stored::Sealed(value) => keys.open(place, &value),
            Stored::Plain(value) => {
                self.met.fetch_add(1, Ordering::Relaxed);
                match self.clock.wall() < self.end {
                    true => Ok(value),
                    false => Err(EncryptErrorKind::PlaintextFound.into()),
                }
            }
        }
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("end", &self.end)
            .field("met", &self.met())
            .finish_non_exhaustive()
    }
}
