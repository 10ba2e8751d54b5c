//! Fetches the keys of a scope, and makes the first one.

use std::sync::Arc;

use bartizan_core::{Code, LifecycleKind};

use crate::ciphertext::KeyId;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::kek::Kek;
use crate::key::{DataKey, KeyBytes, KeyRecord, KeyScope, KeyStage, random};
use crate::keyring::State;
use crate::scope_keys::ScopeKeys;
use crate::store::KeyChange;

const PROVIDER_FAILED: Code = Code::new("encrypt.provider_failed");
const KEY_CREATED: Code = Code::new("encrypt.key_created");

/// Fetches a scope's keys and keeps them; `make` makes the first if there is none.
pub(super) async fn load(
    state: Arc<State>,
    scope: KeyScope,
    make: bool,
) -> Result<Arc<ScopeKeys>, EncryptError> {
    let loaded = fetch(&state, &scope, make).await;
    match loaded {
        Ok(keys) => {
            let keys = Arc::new(keys);
            let now = state.clock.monotonic();
            state.cache().keep(&scope, Arc::clone(&keys), now);
            Ok(keys)
        }
        Err(reason) => {
            let kind = LifecycleKind::SourceFailed;
            state.report(kind, PROVIDER_FAILED, "keys", &reason);
            Err(EncryptErrorKind::KeysUnavailable.into())
        }
    }
}

/// Why keys could not be had, for operators: it names key ids and providers, never people.
type Reason = String;

async fn fetch(state: &State, scope: &KeyScope, make: bool) -> Result<ScopeKeys, Reason> {
    let read = || async {
        let records = state.store.read(Some(scope)).await;
        records.map_err(|error| error.to_string())
    };
    let mut records = read().await?;
    if records.is_empty() && make {
        let record = state.new_record(scope, 1, KeyStage::Active).await?;
        let id = record.id.to_string();
        let inserted = state.store.apply(vec![KeyChange::insert(record)]).await;
        if inserted.map_err(|error| error.to_string())? {
            let kind = LifecycleKind::KeyChanged;
            state.report(kind, KEY_CREATED, &id, &"the first of its scope");
        }
        // If it was not inserted, somebody else was faster, and theirs is the one.
        records = read().await?;
    }
    let mut keys = Vec::with_capacity(records.len());
    for record in records {
        let key = match record.stage {
            KeyStage::PreActive | KeyStage::Active | KeyStage::DecryptOnly => {
                Some(state.unwrap(&record).await?)
            }
            KeyStage::Disabled | KeyStage::Destroyed { .. } => None,
        };
        keys.push((record, key));
    }
    Ok(ScopeKeys::new(keys))
}

impl State {
    /// A new key, wrapped, not stored yet.
    pub(super) async fn new_record(
        &self,
        scope: &KeyScope,
        version: u32,
        stage: KeyStage,
    ) -> Result<KeyRecord, Reason> {
        let mut id = [0; KeyId::LENGTH];
        random(&mut id).map_err(|error| error.to_string())?;
        let key = KeyBytes::generate().map_err(|error| error.to_string())?;
        let record = KeyRecord {
            id: KeyId::from_bytes(id),
            scope: scope.clone(),
            version,
            stage,
            created: self.clock.wall().unix_seconds(),
            kek: String::new(),
            wrapped: Vec::new(),
        };
        self.wrapped(record, &key).await
    }

    /// The record with its key wrapped by the present key-encryption key.
    pub(super) async fn wrapped(
        &self,
        mut record: KeyRecord,
        key: &KeyBytes,
    ) -> Result<KeyRecord, Reason> {
        let kek = self.keks.first().ok_or("no key-encryption key")?;
        let context = record.wrapping_context();
        let wrapped = kek.wrap(key, &context).await;
        record.wrapped = wrapped.map_err(|error| format!("key {}: {error}", record.id))?;
        record.kek = kek.id().to_owned();
        Ok(record)
    }

    /// The key of a record.
    pub(super) async fn unwrapped(&self, record: &KeyRecord) -> Result<KeyBytes, Reason> {
        let named = |kek: &&Arc<dyn Kek>| kek.id() == record.kek;
        let kek = self.keks.iter().find(named).ok_or_else(|| {
            format!(
                "key {} is wrapped by {}, which is not at hand",
                record.id, record.kek
            )
        })?;
        let context = record.wrapping_context();
        let key = kek.unwrap(&record.wrapped, &context).await;
        key.map_err(|error| format!("key {}: {error}", record.id))
    }

    async fn unwrap(&self, record: &KeyRecord) -> Result<DataKey, Reason> {
        let key = DataKey::new(record.id, self.unwrapped(record).await?);
        key.ok_or_else(|| format!("key {} cannot be used", record.id))
    }
}
