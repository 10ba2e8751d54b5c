//! What becomes of keys: rotated, disabled, destroyed, wrapped anew.

use std::sync::Arc;

use bartizan_core::{Code, LifecycleKind};
use tokio::task::JoinSet;

use crate::ciphertext::KeyId;
use crate::key::{KeyRecord, KeyScope, KeyStage};
use crate::keyring::load::AT_ONCE;
use crate::keyring::{Keyring, State};
use crate::store::KeyChange;

const KEY_CHANGED: Code = Code::new("encrypt.key_changed");
const KEY_DESTROYED: Code = Code::new("encrypt.key_destroyed");

/// Why the keys of a scope were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyChangeError {
    /// Somebody else changed them meanwhile. Nothing was changed; try again.
    #[error("the keys were changed by somebody else meanwhile")]
    Conflict,
    /// A destroyed key stays so; and a key that seals is not to be taken away without another.
    #[error("key {id} is {stage:?}, which cannot become {wanted:?}")]
    NotPossible {
        /// The key.
        id: KeyId,
        /// What it is.
        stage: KeyStage,
        /// What it should become.
        wanted: KeyStage,
    },
    /// The scope has no key of this id.
    #[error("no key {0} in this scope")]
    NoSuchKey(KeyId),
    /// Store or provider failed.
    #[error("{0}")]
    Unavailable(String),
}

/// What [`Keyring::rewrap`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rewrapped {
    /// Keys that are now wrapped by the present key-encryption key.
    pub rewrapped: usize,
    /// Keys that were so before, or are destroyed.
    pub current: usize,
    /// Keys that somebody changed meanwhile; another run will find them.
    pub left: usize,
}

impl Keyring {
    /// Makes a new key that seals from now on; what the old ones sealed still opens.
    ///
    /// Other instances learn of it when they fetch the keys again, and cannot open what it seals
    /// until then. Where there are several, [`introduce`](Self::introduce) the key first, wait
    /// for the ttl, then [`activate`](Self::activate) it.
    ///
    /// # Errors
    ///
    /// [`KeyChangeError`]; so for the methods below.
    pub async fn rotate(&self, scope: &KeyScope) -> Result<KeyId, KeyChangeError> {
        let records = self.records(scope).await?;
        let (id, insert) = self.next(scope, &records, KeyStage::Active).await?;
        let mut changes = demoted(&records);
        changes.push(insert);
        self.apply(scope, changes, id, "rotated").await?;
        Ok(id)
    }

    /// Makes a new key that opens and does not seal yet.
    ///
    /// # Errors
    ///
    /// See [`rotate`](Self::rotate).
    pub async fn introduce(&self, scope: &KeyScope) -> Result<KeyId, KeyChangeError> {
        let records = self.records(scope).await?;
        let (id, insert) = self.next(scope, &records, KeyStage::PreActive).await?;
        self.apply(scope, vec![insert], id, "introduced").await?;
        Ok(id)
    }

    /// Lets a key seal from now on, in place of the one that does.
    ///
    /// # Errors
    ///
    /// See [`rotate`](Self::rotate).
    pub async fn activate(&self, scope: &KeyScope, id: KeyId) -> Result<(), KeyChangeError> {
        let records = self.records(scope).await?;
        let record = wanted(&records, id, KeyStage::Active)?;
        let mut changes = demoted(&records);
        changes.retain(|change| change.after.id != id);
        changes.push(staged(record, KeyStage::Active));
        self.apply(scope, changes, id, "activated").await
    }

    /// Takes a key out of use, reversibly, by [`enable`](Self::enable).
    ///
    /// # Errors
    ///
    /// See [`rotate`](Self::rotate).
    pub async fn disable(&self, scope: &KeyScope, id: KeyId) -> Result<(), KeyChangeError> {
        self.set_stage(scope, id, KeyStage::Disabled, "disabled")
            .await
    }

    /// Lets a disabled key open again; sealing takes [`activate`](Self::activate).
    ///
    /// # Errors
    ///
    /// See [`rotate`](Self::rotate).
    pub async fn enable(&self, scope: &KeyScope, id: KeyId) -> Result<(), KeyChangeError> {
        self.set_stage(scope, id, KeyStage::DecryptOnly, "enabled")
            .await
    }

    /// Disables every key of a version below `version`: what they sealed and nobody resealed does
    /// not open any more.
    ///
    /// # Errors
    ///
    /// [`KeyChangeError::NotPossible`] if the key that seals is among them.
    pub async fn require_minimum_version(
        &self,
        scope: &KeyScope,
        version: u32,
    ) -> Result<(), KeyChangeError> {
        let records = self.records(scope).await?;
        let mut changes = Vec::new();
        for record in records.iter().filter(|record| record.version < version) {
            match record.stage {
                KeyStage::Destroyed { .. } | KeyStage::Disabled => {}
                KeyStage::Active => return Err(not_possible(record, KeyStage::Disabled)),
                _ => changes.push(staged(record, KeyStage::Disabled)),
            }
        }
        let Some(last) = changes.last().map(|change| change.after.id) else {
            return Ok(());
        };
        self.apply(scope, changes, last, "too old, as those before it")
            .await
    }

    /// Destroys a key for good: what it sealed and nobody resealed is lost. A tombstone stays.
    ///
    /// # Errors
    ///
    /// [`KeyChangeError::NotPossible`] for the key that seals: rotate first, or erase the scope.
    pub async fn destroy(&self, scope: &KeyScope, id: KeyId) -> Result<(), KeyChangeError> {
        let records = self.records(scope).await?;
        let at = self.0.clock.wall();
        let gone = KeyStage::Destroyed {
            at: at.unix_seconds(),
        };
        let record = wanted(&records, id, gone)?;
        if record.stage == KeyStage::Active {
            return Err(not_possible(record, gone));
        }
        let change = KeyChange::replace(record.clone(), record.destroyed(at));
        self.commit(scope, vec![change]).await?;
        let kind = LifecycleKind::KeyChanged;
        self.0
            .report(kind, KEY_DESTROYED, &id.to_string(), &"destroyed");
        Ok(())
    }

    /// Wraps every key anew that the present key-encryption key, or its newest version, did not
    /// wrap; inside the provider where it can do that. Touches no data.
    /// May be cut short and run again: each key is either wrapped by the old or by the new.
    ///
    /// # Errors
    ///
    /// [`KeyChangeError::Unavailable`] at the first key that cannot be unwrapped or wrapped.
    pub async fn rewrap(&self) -> Result<Rewrapped, KeyChangeError> {
        // Everything there is takes longer than the keys of one scope: the store's own patience.
        let records = self.0.store.read(None).await.map_err(unavailable)?;
        let mut records = records.into_iter();
        let mut working = JoinSet::new();
        let mut done = Rewrapped::default();
        loop {
            while working.len() < AT_ONCE
                && let Some(record) = records.next()
            {
                let state = Arc::clone(&self.0);
                working.spawn(async move { state.rewrap(record).await });
            }
            let Some(rewrapped) = working.join_next().await else {
                break;
            };
            match rewrapped.map_err(unavailable)?? {
                Some(true) => done.rewrapped += 1,
                Some(false) => done.left += 1,
                None => done.current += 1,
            }
        }
        self.0.cache().forget_all();
        Ok(done)
    }

    /// The records of a scope, for showing; in ascending order of their versions.
    ///
    /// # Errors
    ///
    /// [`KeyChangeError::Unavailable`].
    pub async fn records(&self, scope: &KeyScope) -> Result<Vec<KeyRecord>, KeyChangeError> {
        let read = self.0.patience.ask(self.0.store.read(Some(scope))).await;
        let mut records = read.map_err(unavailable)?;
        records.sort_by_key(|record| record.version);
        Ok(records)
    }

    async fn next(
        &self,
        scope: &KeyScope,
        records: &[KeyRecord],
        stage: KeyStage,
    ) -> Result<(KeyId, KeyChange), KeyChangeError> {
        // Whoever was erased stays so, and is not written about again.
        if let Some(gone) = records.iter().find(|record| {
            scope.is_personal() && matches!(record.stage, KeyStage::Destroyed { .. })
        }) {
            return Err(not_possible(gone, stage));
        }
        let version = records
            .last()
            .map_or(1, |record| record.version.saturating_add(1));
        let record = self.0.new_record(scope, version, stage).await;
        let record = record.map_err(unavailable)?;
        Ok((record.id, KeyChange::insert(record)))
    }

    async fn set_stage(
        &self,
        scope: &KeyScope,
        id: KeyId,
        stage: KeyStage,
        done: &'static str,
    ) -> Result<(), KeyChangeError> {
        let records = self.records(scope).await?;
        let change = staged(wanted(&records, id, stage)?, stage);
        self.apply(scope, vec![change], id, done).await
    }

    async fn apply(
        &self,
        scope: &KeyScope,
        changes: Vec<KeyChange>,
        id: KeyId,
        done: &'static str,
    ) -> Result<(), KeyChangeError> {
        self.commit(scope, changes).await?;
        let kind = LifecycleKind::KeyChanged;
        self.0.report(kind, KEY_CHANGED, &id.to_string(), &done);
        Ok(())
    }

    pub(super) async fn commit(
        &self,
        scope: &KeyScope,
        changes: Vec<KeyChange>,
    ) -> Result<(), KeyChangeError> {
        let applied = self.0.patience.ask(self.0.store.apply(changes)).await;
        self.0.cache().forget(scope);
        match applied.map_err(unavailable)? {
            true => Ok(()),
            false => Err(KeyChangeError::Conflict),
        }
    }
}

impl State {
    /// Wraps one key anew and says whether it was still what it was; `None` if there is nothing
    /// to do.
    async fn rewrap(&self, record: KeyRecord) -> Result<Option<bool>, KeyChangeError> {
        if matches!(record.stage, KeyStage::Destroyed { .. }) {
            return Ok(None);
        }
        let Some(rewrapped) = self.rewrapped(&record).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let change = KeyChange::replace(record, rewrapped);
        let applied = self.patience.ask(self.store.apply(vec![change])).await;
        applied.map(Some).map_err(unavailable)
    }
}

fn demoted(records: &[KeyRecord]) -> Vec<KeyChange> {
    let active = records
        .iter()
        .filter(|record| record.stage == KeyStage::Active);
    active
        .map(|record| staged(record, KeyStage::DecryptOnly))
        .collect()
}

fn staged(record: &KeyRecord, stage: KeyStage) -> KeyChange {
    let after = KeyRecord {
        stage,
        ..record.clone()
    };
    KeyChange::replace(record.clone(), after)
}

fn wanted(records: &[KeyRecord], id: KeyId, stage: KeyStage) -> Result<&KeyRecord, KeyChangeError> {
    let record = records.iter().find(|record| record.id == id);
    let record = record.ok_or(KeyChangeError::NoSuchKey(id))?;
    match record.stage {
        KeyStage::Destroyed { .. } => Err(not_possible(record, stage)),
        _ => Ok(record),
    }
}

fn not_possible(record: &KeyRecord, wanted: KeyStage) -> KeyChangeError {
    KeyChangeError::NotPossible {
        id: record.id,
        stage: record.stage,
        wanted,
    }
}

pub(super) fn unavailable(reason: impl std::fmt::Display) -> KeyChangeError {
    KeyChangeError::Unavailable(reason.to_string())
}
