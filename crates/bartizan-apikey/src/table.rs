//! All keys, in memory: what a request's key is looked up in.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::WallTime;

use crate::error::{ApiKeyError, ApiKeyErrorKind};
use crate::format::{KeyId, PresentedKey};
use crate::hash::Peppers;
use crate::record::{KeyRecord, KeyState};
use crate::usage::{Use, Uses};
use crate::verified::VerifiedKey;

/// What makes a table of records.
#[derive(Clone, Debug)]
pub(crate) struct TableRules {
    pub(crate) issuer: Arc<str>,
    pub(crate) peppers: Peppers,
    pub(crate) max_keys: usize,
    pub(crate) max_lifetime: Option<Duration>,
}

/// The keys at one moment. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KeyTable(Arc<Table>);

struct Table {
    peppers: Peppers,
    max_lifetime: Option<Duration>,
    entries: HashMap<KeyId, Entry>,
    /// Records whose hash cannot be checked here.
    unusable: Vec<KeyId>,
}

/// One key.
pub(crate) struct Entry {
    record: KeyRecord,
    pub(crate) verified: Arc<VerifiedKey>,
    used: Arc<Use>,
}

/// Why records make no table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TableError {
    #[error("the key {0} is there twice")]
    Twice(KeyId),
    #[error("{count} keys, at most {most} are taken")]
    TooMany { count: usize, most: usize },
}

/// A key that cannot be accepted, with what is known of it once its secret was proven.
pub(crate) struct Refused {
    pub(crate) error: ApiKeyError,
    pub(crate) proven: Option<Arc<VerifiedKey>>,
}

impl KeyTable {
    pub(crate) fn new(
        rules: &TableRules,
        records: Vec<KeyRecord>,
        uses: &Uses,
    ) -> Result<Self, TableError> {
        let (count, most) = (records.len(), rules.max_keys);
        if count > most {
            return Err(TableError::TooMany { count, most });
        }
        let is_usable = |record: &KeyRecord| rules.peppers.know(&record.hash);
        let (records, unusable): (Vec<_>, Vec<_>) = records.into_iter().partition(is_usable);
        let cells = uses.of(&records);
        let mut entries = HashMap::with_capacity(records.len());
        for (record, used) in records.into_iter().zip(cells) {
            let (id, verified) = (record.id, VerifiedKey::new(&rules.issuer, &record));
            let entry = Entry {
                record,
                verified: Arc::new(verified),
                used,
            };
            if entries.insert(id, entry).is_some() {
                return Err(TableError::Twice(id));
            }
        }
        Ok(Self(Arc::new(Table {
            peppers: rules.peppers.clone(),
            max_lifetime: rules.max_lifetime,
            entries,
            unusable: unusable.into_iter().map(|record| record.id).collect(),
        })))
    }

    /// Whether this key may be used now, from this address.
    ///
    /// A key that is unknown is compared as one whose secret is wrong, and refused with the same
    /// words. What else is wrong with a key is told to whoever has proven to have it, and to
    /// nobody else.
    pub(crate) fn judge(
        &self,
        key: &PresentedKey<'_>,
        address: Option<IpAddr>,
        now: WallTime,
    ) -> Result<&Entry, Refused> {
        let found = self.0.entries.get(&key.id);
        let matches = self.0.peppers.verify(found.map(|it| &it.record.hash), key);
        let Some(entry) = found.filter(|_| matches) else {
            return Err(Refused {
                error: ApiKeyError::new(ApiKeyErrorKind::Invalid),
                proven: None,
            });
        };
        let holds = self.holds(&entry.record, now);
        match holds.and_then(|()| entry.record.admits(address)) {
            Ok(()) => Ok(entry),
            Err(error) => Err(Refused {
                error,
                proven: Some(Arc::clone(&entry.verified)),
            }),
        }
    }

    /// How much longer a key holds that was accepted before; `None` for ever.
    pub(crate) fn time_left(
        &self,
        id: KeyId,
        now: WallTime,
    ) -> Result<Option<Duration>, ApiKeyError> {
        let gone = || ApiKeyError::new(ApiKeyErrorKind::Invalid);
        let entry = self.0.entries.get(&id).ok_or_else(gone)?;
        self.holds(&entry.record, now)?;
        Ok(entry.record.expires.map(|end| end.saturating_since(now)))
    }

    fn holds(&self, record: &KeyRecord, now: WallTime) -> Result<(), ApiKeyError> {
        match record.state(now) {
            KeyState::Live => {}
            KeyState::Revoked => return Err(ApiKeyError::new(ApiKeyErrorKind::Revoked)),
            KeyState::Expired => {
                let end = record.expires.unwrap_or(now);
                return Err(ApiKeyError::timed(ApiKeyErrorKind::Expired, end, now));
            }
            KeyState::NotYetValid => {
                let begin = record.not_before.unwrap_or(now);
                return Err(ApiKeyError::timed(ApiKeyErrorKind::NotYetValid, begin, now));
            }
        }
        let fits = |most: Duration| {
            let lifetime = record
                .expires
                .map(|end| end.saturating_since(record.created));
            lifetime.is_some_and(|lifetime| lifetime <= most)
        };
        if self.0.max_lifetime.is_none_or(fits) {
            Ok(())
        } else {
            Err(ApiKeyError::new(ApiKeyErrorKind::LifetimeTooLong))
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.entries.len()
    }

    pub(crate) fn unusable(&self) -> &[KeyId] {
        &self.0.unusable
    }

    pub(crate) fn last_used(&self, id: KeyId) -> Option<WallTime> {
        self.0.entries.get(&id)?.used.last()
    }
}

impl KeyRecord {
    fn admits(&self, address: Option<IpAddr>) -> Result<(), ApiKeyError> {
        let from = |address| {
            self.networks
                .iter()
                .any(|network| network.contains(address))
        };
        if self.networks.is_empty() || address.is_some_and(from) {
            Ok(())
        } else {
            Err(ApiKeyError::new(ApiKeyErrorKind::AddressNotAllowed))
        }
    }
}

impl Entry {
    pub(crate) fn note_use(&self, now: WallTime) {
        self.used.note(now);
    }
}

impl PartialEq for KeyTable {
    /// By what the records say, and not when keys were used.
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&self.0, &other.0);
        Arc::ptr_eq(one, other)
            || one.entries.len() == other.entries.len()
                && one.unusable == other.unusable
                && one.entries.iter().all(|(id, entry)| {
                    let other = other.entries.get(id);
                    other.is_some_and(|other| entry.record.is_same(&other.record))
                })
    }
}

impl fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTable")
            .field("keys", &self.0.entries.len())
            .field("unusable", &self.0.unusable.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
