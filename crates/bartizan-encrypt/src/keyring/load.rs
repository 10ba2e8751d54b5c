//! Fetches the keys of a scope, and makes the first one.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Code, LifecycleKind};
use tokio::task::JoinSet;

use crate::ciphertext::KeyId;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::kek::{Kek, KekError};
use crate::key::{DataKey, KeyBytes, KeyRecord, KeyScope, KeyStage, random};
use crate::keyring::{State, follow};
use crate::scope_keys::ScopeKeys;
use crate::store::KeyChange;

const PROVIDER_FAILED: Code = Code::new("encrypt.provider_failed");
const KEY_CREATED: Code = Code::new("encrypt.key_created");

/// How many keys are unwrapped, or wrapped anew, at the same time.
pub(super) const AT_ONCE: usize = 8;

/// Fetches a scope's keys and keeps them; `make` makes the first if there is none.
pub(super) async fn load(
    state: Arc<State>,
    scope: KeyScope,
    make: bool,
) -> Result<Arc<ScopeKeys>, EncryptError> {
    follow::start(&state);
    let loaded = fetch(&state, &scope, make).await;
    let now = state.clock.monotonic();
    match loaded {
        Ok(keys) => {
            let keys = Arc::new(keys);
            state.cache().keep(&scope, Arc::clone(&keys), now);
            Ok(keys)
        }
        Err(reason) => {
            state.cache().failed(&scope, reason.refused, now);
            state.tell_failure(&reason);
            Err(EncryptErrorKind::KeysUnavailable.into())
        }
    }
}

/// Why keys could not be had, for operators: it names key ids and providers, never people.
#[derive(Debug)]
pub(super) struct Reason {
    text: String,
    /// Whether somebody said no, rather than nothing.
    refused: bool,
}

impl Reason {
    fn new(text: impl fmt::Display) -> Self {
        let text = text.to_string();
        let refused = false;
        Self { text, refused }
    }

    fn of(id: KeyId, error: &KekError) -> Self {
        Self {
            text: format!("key {id}: {error}"),
            refused: matches!(error, KekError::Refused(_)),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

async fn fetch(state: &Arc<State>, scope: &KeyScope, make: bool) -> Result<ScopeKeys, Reason> {
    let read = || async {
        let records = state.patience.ask(state.store.read(Some(scope))).await;
        records.map_err(Reason::new)
    };
    let mut records = read().await?;
    if records.is_empty() && make {
        let record = state.new_record(scope, 1, KeyStage::Active).await?;
        let id = record.id.to_string();
        let insert = state.store.apply(vec![KeyChange::insert(record)]);
        if state.patience.ask(insert).await.map_err(Reason::new)? {
            let kind = LifecycleKind::KeyChanged;
            state.report(kind, KEY_CREATED, &id, &"the first of its scope");
        }
        // If it was not inserted, somebody else was faster, and theirs is the one.
        records = read().await?;
    }
    unwrap_all(state, records).await
}

/// Unwraps what is in use, some at a time. A key that its provider refuses is left out, and the
/// others serve; if that leaves none, it is the refusal that counts.
async fn unwrap_all(state: &Arc<State>, records: Vec<KeyRecord>) -> Result<ScopeKeys, Reason> {
    let mut keys = Vec::with_capacity(records.len());
    let mut refusals = Vec::new();
    let mut running = JoinSet::new();
    let mut records = records.into_iter();
    loop {
        while running.len() < AT_ONCE {
            let Some(record) = records.next() else { break };
            match record.stage {
                KeyStage::PreActive | KeyStage::Active | KeyStage::DecryptOnly => {
                    let state = Arc::clone(state);
                    running.spawn(async move {
                        let key = state.unwrap(&record).await;
                        (record, key)
                    });
                }
                KeyStage::Disabled | KeyStage::Destroyed { .. } => keys.push((record, None)),
            }
        }
        let Some(done) = running.join_next().await else {
            break;
        };
        match done.map_err(Reason::new)? {
            (record, Ok(key)) => keys.push((record, Some(key))),
            (record, Err(reason)) if reason.refused => {
                keys.push((record, None));
                refusals.push(reason);
            }
            (_, Err(reason)) => return Err(reason),
        }
    }
    if keys.iter().all(|(_, key)| key.is_none())
        && let Some(reason) = refusals.pop()
    {
        return Err(reason);
    }
    refusals
        .iter()
        .for_each(|reason| state.tell_failure(reason));
    Ok(ScopeKeys::new(keys))
}

impl State {
    fn tell_failure(&self, reason: &Reason) {
        self.report(LifecycleKind::SourceFailed, PROVIDER_FAILED, "keys", reason);
    }

    /// A new key, wrapped, not stored yet.
    pub(super) async fn new_record(
        &self,
        scope: &KeyScope,
        version: u32,
        stage: KeyStage,
    ) -> Result<KeyRecord, Reason> {
        let mut id = [0; KeyId::LENGTH];
        random(&mut id).map_err(Reason::new)?;
        let kek = self.present_kek()?;
        let mut record = KeyRecord {
            id: KeyId::from_bytes(id),
            scope: scope.clone(),
            version,
            stage,
            created: self.clock.wall().unix_seconds(),
            kek: kek.id().to_owned(),
            wrapped: Vec::new(),
        };
        let context = record.wrapping_context();
        let made = self.patience.insist(|| kek.generate(&context)).await;
        let (_, wrapped) = made.map_err(|error| Reason::of(record.id, &error))?;
        record.wrapped = wrapped;
        Ok(record)
    }

    /// The record with its key wrapped by the present key-encryption key; `None` if it is so
    /// already.
    pub(super) async fn rewrapped(&self, record: &KeyRecord) -> Result<Option<KeyRecord>, Reason> {
        let kek = self.present_kek()?;
        let context = record.wrapping_context();
        let refused = |error: KekError| Reason::of(record.id, &error);
        let inside = || kek.rewrap(&record.kek, &record.wrapped, &context);
        let wrapped = match self.patience.insist(inside).await.map_err(refused)? {
            Some(wrapped) => wrapped,
            None if record.kek == kek.id() => return Ok(None),
            None => {
                let key = self.unwrapped(record).await?;
                let wrapped = self.patience.insist(|| kek.wrap(&key, &context)).await;
                wrapped.map_err(refused)?
            }
        };
        Ok(Some(KeyRecord {
            kek: kek.id().to_owned(),
            wrapped,
            ..record.clone()
        }))
    }

    fn present_kek(&self) -> Result<&Arc<dyn Kek>, Reason> {
        let none = || Reason::new("no key-encryption key");
        self.keks.first().ok_or_else(none)
    }

    /// The key of a record.
    async fn unwrapped(&self, record: &KeyRecord) -> Result<KeyBytes, Reason> {
        let named = |kek: &&Arc<dyn Kek>| kek.id() == record.kek;
        let kek = self.keks.iter().find(named).ok_or_else(|| {
            Reason::new(format_args!(
                "key {} is wrapped by {}, which is not at hand",
                record.id, record.kek
            ))
        })?;
        let context = record.wrapping_context();
        let unwrap = || kek.unwrap(&record.wrapped, &context);
        let key = self.patience.insist(unwrap).await;
        key.map_err(|error| Reason::of(record.id, &error))
    }

    async fn unwrap(&self, record: &KeyRecord) -> Result<DataKey, Reason> {
        let key = DataKey::new(record.id, self.unwrapped(record).await?);
        key.ok_or_else(|| Reason::new(format_args!("key {} cannot be used", record.id)))
    }
}
