//! The keys of one scope, unwrapped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ciphertext::KeyId;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::key::{DataKey, KeyRecord, KeyStage};

/// The keys of one scope, in ascending order of their versions.
pub(crate) struct ScopeKeys {
    entries: Vec<Entry>,
    uses: AtomicU64,
}

struct Entry {
    id: KeyId,
    version: u32,
    stage: KeyStage,
    /// There unless disabled or destroyed, or refused by what wrapped it.
    key: Option<Arc<DataKey>>,
}

impl ScopeKeys {
    pub(crate) fn new(keys: Vec<(KeyRecord, Option<DataKey>)>) -> Self {
        let mut entries: Vec<_> = keys
            .into_iter()
            .map(|(record, key)| Entry {
                id: record.id,
                version: record.version,
                stage: record.stage,
                key: key.map(Arc::new),
            })
            .collect();
        entries.sort_by_key(|entry| entry.version);
        let uses = AtomicU64::new(0);
        Self { entries, uses }
    }

    /// Whether there is nothing to make: a key to seal with, or a reason why there is none.
    pub(crate) fn is_settled(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// The key that seals.
    pub(crate) fn sealing(&self) -> Result<&Arc<DataKey>, EncryptError> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        let active = |entry: &&Entry| entry.stage == KeyStage::Active;
        if let Some(entry) = self.entries.iter().rev().find(active) {
            return entry
                .key
                .as_ref()
                .ok_or(EncryptErrorKind::KeysUnavailable.into());
        }
        let destroyed = |entry: &Entry| matches!(entry.stage, KeyStage::Destroyed { .. });
        Err(if self.entries.iter().any(destroyed) {
            EncryptErrorKind::Shredded.into()
        } else {
            EncryptErrorKind::NoActiveKey.into()
        })
    }

    /// The key of exactly this id. No other is ever tried.
    pub(crate) fn opening(&self, id: KeyId) -> Result<&Arc<DataKey>, EncryptError> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        let entry = self.entries.iter().find(|entry| entry.id == id);
        let Some(entry) = entry else {
            // Whose keys were all destroyed has no ciphertext that would open elsewhere: an id
            // that is not on record belonged to a version whose tombstone was cleared away.
            let all_gone = self.is_shredded();
            return Err(if all_gone {
                EncryptErrorKind::Shredded.into()
            } else {
                EncryptErrorKind::UnknownKey.into()
            });
        };
        match (&entry.key, entry.stage) {
            (Some(key), _) => Ok(key),
            (None, KeyStage::Destroyed { .. }) => Err(EncryptErrorKind::Shredded.into()),
            (None, KeyStage::Disabled) => Err(EncryptErrorKind::KeyDisabled.into()),
            (None, _) => Err(EncryptErrorKind::KeysUnavailable.into()),
        }
    }

    /// Every usable key, the one that seals first, then the newest.
    pub(crate) fn usable(&self) -> Vec<&Arc<DataKey>> {
        let mut usable: Vec<_> = self
            .entries
            .iter()
            .rev()
            .filter_map(|entry| Some((entry.stage != KeyStage::Active, entry.key.as_ref()?)))
            .collect();
        usable.sort_by_key(|(later, _)| *later);
        usable.into_iter().map(|(_, key)| key).collect()
    }

    /// The key of the first version, and when everything was destroyed if it was.
    pub(crate) fn first(&self) -> Option<(Option<&Arc<DataKey>>, KeyStage)> {
        let entry = self.entries.first()?;
        Some((entry.key.as_ref(), entry.stage))
    }

    fn is_shredded(&self) -> bool {
        let destroyed = |entry: &Entry| matches!(entry.stage, KeyStage::Destroyed { .. });
        !self.entries.is_empty() && self.entries.iter().all(destroyed)
    }
}

impl fmt::Debug for ScopeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = self.entries.iter().map(|entry| (entry.id, entry.stage));
        f.debug_map().entries(stages).finish()
    }
}
