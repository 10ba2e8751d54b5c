//! Forgetting a person: the family's erasure seam.

use std::sync::Arc;

use bartizan_core::{
    Code, KeyRequest, KeyState, KeyringAnswer, KeyringUnavailable, LifecycleKind, Subject,
    SubjectKey, SubjectKeyring, WallTime,
};

use crate::key::{DataKey, KeyRecord, KeyScope, KeyStage};
use crate::keyring::Keyring;
use crate::keyring::lifecycle::{KeyChangeError, unavailable};
use crate::store::KeyChange;

const SUBJECT_FORGOTTEN: Code = Code::new("encrypt.subject_forgotten");

/// How often an erasure is tried again when somebody changes the same keys meanwhile.
const ATTEMPTS: usize = 8;

impl Keyring {
    /// Destroys every key of a person, so that nothing about them can be read again by anybody.
    /// Leaves a tombstone, also if there never was a key, so that none is made later. Repeating
    /// it changes nothing.
    ///
    /// True once three things have passed: the ttl, for instances that hold the key in memory;
    /// the life of backups of the key store; and blind indexes and pseudonyms of the person,
    /// which are the tenant's and must be deleted, are.
    ///
    /// # Errors
    ///
    /// If the store fails; nothing is erased then.
    pub async fn erase(&self, subject: &Subject) -> Result<WallTime, KeyChangeError> {
        let scope = KeyScope::subject(subject.tenant(), subject.id());
        for _ in 0..ATTEMPTS {
            match self.try_erase(&scope).await {
                Err(KeyChangeError::Conflict) => {}
                done => return done,
            }
        }
        Err(KeyChangeError::Conflict)
    }

    async fn try_erase(&self, scope: &KeyScope) -> Result<WallTime, KeyChangeError> {
        let records = self.records(scope).await?;
        let now = self.0.clock.wall();
        let alive = |record: &&KeyRecord| !matches!(record.stage, KeyStage::Destroyed { .. });
        let mut changes: Vec<_> = records
            .iter()
            .filter(alive)
            .map(|record| KeyChange::replace(record.clone(), record.destroyed(now)))
            .collect();
        if records.is_empty() {
            let never = self.0.new_record(scope, 1, KeyStage::Disabled).await;
            let never = never.map_err(unavailable)?;
            changes.push(KeyChange::insert(never.destroyed(now)));
        }
        if changes.is_empty() {
            return Ok(destroyed_at(records.last().map(|last| last.stage), now));
        }
        self.commit(scope, changes).await?;
        // Whom it was about is the one thing that must not be told.
        let kind = LifecycleKind::SubjectForgotten;
        self.0.report(
            kind,
            SUBJECT_FORGOTTEN,
            "person",
            &"every key was destroyed",
        );
        Ok(now)
    }

    async fn answer(
        &self,
        subject: &Subject,
        request: KeyRequest,
    ) -> Result<KeyState, KeyringUnavailable> {
        let unavailable = |reason: String| KeyringUnavailable { reason };
        let make = match request {
            KeyRequest::Forget => {
                let erased = self.erase(subject).await;
                let at = erased.map_err(|error| unavailable(error.to_string()))?;
                return Ok(KeyState::Shredded { at });
            }
            KeyRequest::Seal => true,
            _ => false,
        };
        let scope = KeyScope::subject(subject.tenant(), subject.id());
        let keys = self.keys(&scope, make).await;
        let keys = keys.map_err(|error| unavailable(error.to_string()))?;
        match keys.first() {
            None => Ok(KeyState::Absent),
            Some((Some(key), _)) => derived(key).map(|key| KeyState::Present(Arc::new(key))),
            Some((None, stage @ KeyStage::Destroyed { .. })) => Ok(KeyState::Shredded {
                at: destroyed_at(Some(stage), self.0.clock.wall()),
            }),
            Some((None, _)) => Err(unavailable("the key is disabled".to_owned())),
        }
    }
}

impl SubjectKeyring for Keyring {
    /// The key handed out is derived from the first version of the person's data key: whoever
    /// gets it cannot open fields, and rotating does not change it.
    fn request<'k>(&'k self, subject: &'k Subject, request: KeyRequest) -> KeyringAnswer<'k> {
        Box::pin(self.answer(subject, request))
    }
}

fn derived(key: &DataKey) -> Result<SubjectKey, KeyringUnavailable> {
    let derived = key.bytes().derive::<32>(b"bartizan subject key v1");
    let mut derived = derived.ok_or_else(|| KeyringUnavailable {
        reason: "the key cannot be derived".to_owned(),
    })?;
    Ok(SubjectKey::new(&mut derived))
}

fn destroyed_at(stage: Option<KeyStage>, now: WallTime) -> WallTime {
    match stage {
        Some(KeyStage::Destroyed { at }) => WallTime::from_unix_seconds(at),
        _ => now,
    }
}
