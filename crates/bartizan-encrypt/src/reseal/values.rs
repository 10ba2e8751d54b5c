//! Where sealed values are stored: the seam, made for a table in a database.

use std::fmt;

use crate::ciphertext::Ciphertext;
use crate::context::Place;
use crate::padding::Padding;
use crate::prepared::FieldName;
use crate::store::StoreAnswer;
use crate::value::{Encrypted, Field};

/// Stored values that can be read page by page, and replaced.
///
/// Made for a column of a table: `read` is a `select` ordered by the primary key, `replace` an
/// `update` that names the old value too, and the cursor a row of a small table beside it.
pub trait SealedValues: fmt::Debug + Send + Sync + 'static {
    /// The values behind this position, or from the first on; in ascending order of their
    /// positions, at most `limit`. None only if there are no more.
    fn read<'s>(
        &'s self,
        after: Option<&'s str>,
        limit: usize,
    ) -> StoreAnswer<'s, Vec<StoredValue>>;

    /// Puts each new value in the place of the old, where that is still there, and says how many
    /// that were. Durable before it answers: the cursor moves on behind it.
    fn replace<'s>(&'s self, replacements: &'s [Replacement]) -> StoreAnswer<'s, u64>;

    /// How many values are behind this position, or in all.
    fn count<'s>(&'s self, after: Option<&'s str>) -> StoreAnswer<'s, u64>;

    /// Where a run was cut short, if one was.
    fn cursor(&self) -> StoreAnswer<'_, Option<String>>;

    /// Keeps a cursor, or takes it away.
    fn set_cursor<'s>(&'s self, cursor: Option<&'s str>) -> StoreAnswer<'s, ()>;
}

/// A sealed value, and where it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredValue {
    pub(crate) position: String,
    pub(crate) place: Place,
    pub(crate) collection: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) padding: Padding,
    pub(crate) value: Ciphertext,
}

/// A value to be put in the place of another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replacement {
    /// Where.
    pub position: String,
    /// What must be there.
    pub before: Ciphertext,
    /// What is there afterwards.
    pub after: Ciphertext,
}

impl StoredValue {
    /// A value of this field. The position is unique among all that are read together, and comes
    /// in ascending order, such as a primary key; the place is that which it was sealed for.
    pub fn new<T, F: Field>(position: &str, place: Place, value: &Encrypted<T, F>) -> Self {
        Self {
            position: position.to_owned(),
            place,
            collection: F::COLLECTION.into(),
            path: F::PATH.into(),
            padding: F::PADDING,
            value: value.ciphertext().clone(),
        }
    }

    /// A value of a field that is known by its names alone, such as one that an
    /// [`EncryptLayer`](crate::EncryptLayer) sealed: the path is that of its rule.
    pub fn named(
        position: &str,
        place: Place,
        collection: &str,
        path: &str,
        value: Ciphertext,
    ) -> Self {
        Self {
            position: position.to_owned(),
            place,
            collection: collection.into(),
            path: path.into(),
            padding: Padding::default(),
            value,
        }
    }

    /// Replaces the steps in which the value's length is hidden.
    #[must_use]
    pub fn with_padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    pub(crate) fn field(&self) -> FieldName<'_> {
        FieldName {
            collection: &self.collection,
            path: &self.path,
        }
    }
}
