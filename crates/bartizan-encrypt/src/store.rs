//! Where key records live: the seam, made for a table in a database.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::key::{KeyRecord, KeyScope};

/// What a store answers. Boxed: data keys are cached, so that this is no hot path.
pub type StoreAnswer<'s, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 's>>;

/// Keeps key records, so that every instance of a service has the same.
///
/// Made for a table with the columns of [`KeyRecord`], unique by `id` and by scope and version.
/// An answer must be durable before it is given: a key that sealed something must be there after
/// a crash, and a destroyed one must not come back.
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// The records of this scope, or of all, in any order. A [`Keyring`](crate::Keyring) waits for
    /// those of a scope as long as its deadline says; reading all is left its own time.
    fn read<'s>(&'s self, scope: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>>;

    /// Makes all of these changes or none. `false`, and nothing is changed, if a record is not
    /// what a change expects, or if an id, or a scope and version, exists already.
    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool>;

    /// Waits until somebody changed records, and names their scopes; none if any may have
    /// changed. A hint, which need not be durable or complete: a [`Keyring`](crate::Keyring) then
    /// fetches keys at once that it would fetch when their ttl ends. For stores that do not hear
    /// of changes, the default waits for ever.
    fn changes(&self) -> StoreAnswer<'_, Vec<KeyScope>> {
        Box::pin(std::future::pending())
    }
}

/// Any store will do, chosen at run time.
impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    fn read<'s>(&'s self, scope: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        (**self).read(scope)
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        (**self).apply(changes)
    }

    fn changes(&self) -> StoreAnswer<'_, Vec<KeyScope>> {
        (**self).changes()
    }
}

/// One change of a record: compare and set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyChange {
    /// What must be there; `None` for a record that is new.
    pub before: Option<KeyRecord>,
    /// What is there afterwards, under the same id.
    pub after: KeyRecord,
}

impl KeyChange {
    /// Adds a record.
    pub fn insert(after: KeyRecord) -> Self {
        let before = None;
        Self { before, after }
    }

    /// Replaces a record.
    pub fn replace(before: KeyRecord, after: KeyRecord) -> Self {
        let before = Some(before);
        Self { before, after }
    }
}

/// A store could not be asked, or holds what cannot be.
#[derive(Debug, thiserror::Error)]
#[error("key store: {reason}")]
pub struct StoreError {
    /// What happened, for logs.
    pub reason: String,
}

impl StoreError {
    /// An error for this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        let reason = reason.to_string();
        Self { reason }
    }
}

/// Makes changes to records in memory, as [`KeyStore::apply`] says; `None` if one does not fit.
pub(crate) fn changed(records: &[KeyRecord], changes: Vec<KeyChange>) -> Option<Vec<KeyRecord>> {
    let mut records = records.to_vec();
    for KeyChange { before, after } in changes {
        match before {
            Some(before) => {
                let held = records.iter_mut().find(|record| record.id == after.id)?;
                if *held != before || held.scope != after.scope || held.version != after.version {
                    return None;
                }
                *held = after;
            }
            None => {
                let clash = |record: &KeyRecord| {
                    record.id == after.id
                        || record.scope == after.scope && record.version == after.version
                };
                if records.iter().any(clash) {
                    return None;
                }
                records.push(after);
            }
        }
    }
    Some(records)
}
