//! Lists that narrow a rule.

use std::ops::Deref;
use std::vec::IntoIter;

use serde::de::{Deserialize, Deserializer, Error};

/// A list that is left out, which is any, or holds something. One that is written and empty says
/// neither whether it means any nor whether it means none.
pub(super) struct List<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::deserialize(deserializer)?;
        if items.is_empty() {
            return Err(D::Error::custom(
                "an empty list: leave the member out if any will do",
            ));
        }
        Ok(Self(items))
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        self.0.into_iter()
    }
}
