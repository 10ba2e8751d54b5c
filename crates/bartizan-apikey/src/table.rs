//! All keys, in memory: what a request's key is looked up in.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{IpNetwork, WallTime};

use crate::error::{ApiKeyError, ApiKeyErrorKind};
use crate::format::{KeyId, PresentedKey};
use crate::hash::{Digest, PepperIndex, Peppers};
use crate::record::KeyRecord;
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
    entries: HashMap<KeyId, Entry>,
    /// Records whose hash cannot be checked here.
    unusable: Vec<KeyId>,
}

/// One key: what each request looks at, close together, since of many keys few are in a cache.
pub(crate) struct Entry {
    digest: Digest,
    pepper: PepperIndex,
    /// It holds from here on,
    begin: WallTime,
    /// and until then, if it ends.
    end: Option<WallTime>,
    networks: Box<[IpNetwork]>,
    /// What is wrong with it whatever the time.
    refused: Option<ApiKeyErrorKind>,
    pub(crate) verified: Arc<VerifiedKey>,
    used: Arc<Use>,
    record: Box<KeyRecord>,
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
        // Before anything is kept of them: the table that they were to replace goes on.
        let mut ids = HashSet::with_capacity(count);
        if let Some(twice) = records.iter().find(|record| !ids.insert(record.id)) {
            return Err(TableError::Twice(twice.id));
        }
        let is_usable = |record: &KeyRecord| rules.peppers.of(&record.hash).is_some();
        let (records, unusable): (Vec<_>, Vec<_>) = records.into_iter().partition(is_usable);
        let cells = uses.of(&records);
        let entry = |(record, used): (KeyRecord, _)| {
            let pepper = rules.peppers.of(&record.hash)?;
            Some((record.id, Entry::new(rules, record, pepper, used)))
        };
        let entries = records.into_iter().zip(cells).filter_map(entry).collect();
        Ok(Self(Arc::new(Table {
            peppers: rules.peppers.clone(),
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
        let hash = found.map(|entry| (entry.pepper, &entry.digest));
        let matches = self.0.peppers.verify(hash, key);
        let Some(entry) = found.filter(|_| matches) else {
            return Err(Refused {
                error: ApiKeyError::new(ApiKeyErrorKind::Invalid),
                proven: None,
            });
        };
        match entry.holds(now).and_then(|()| entry.admits(address)) {
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
        entry.holds(now)?;
        Ok(entry.end.map(|end| end.saturating_since(now)))
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

impl Entry {
    fn new(rules: &TableRules, record: KeyRecord, pepper: PepperIndex, used: Arc<Use>) -> Self {
        let fits = |most: Duration| {
            let lifetime = record
                .expires
                .map(|end| end.saturating_since(record.created));
            lifetime.is_some_and(|lifetime| lifetime <= most)
        };
        let refused = match (record.revoked, rules.max_lifetime.is_none_or(fits)) {
            (Some(_), _) => Some(ApiKeyErrorKind::Revoked),
            (None, false) => Some(ApiKeyErrorKind::LifetimeTooLong),
            (None, true) => None,
        };
        Self {
            digest: *record.hash.digest(),
            pepper,
            begin: record.not_before.unwrap_or(WallTime::from_unix_seconds(0)),
            end: record.expires,
            networks: record.networks.clone().into(),
            refused,
            verified: Arc::new(VerifiedKey::new(&rules.issuer, &record)),
            used,
            record: Box::new(record),
        }
    }

    /// As [`KeyRecord::state`] has it, and that it was not made for too long.
    fn holds(&self, now: WallTime) -> Result<(), ApiKeyError> {
        if let Some(kind @ ApiKeyErrorKind::Revoked) = self.refused {
            return Err(ApiKeyError::new(kind));
        }
        if let Some(end) = self.end.filter(|end| now >= *end) {
            return Err(ApiKeyError::timed(ApiKeyErrorKind::Expired, end, now));
        }
        if now < self.begin {
            let kind = ApiKeyErrorKind::NotYetValid;
            return Err(ApiKeyError::timed(kind, self.begin, now));
        }
        match self.refused {
            Some(kind) => Err(ApiKeyError::new(kind)),
            None => Ok(()),
        }
    }

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
