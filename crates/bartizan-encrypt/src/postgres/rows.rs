//! A record as a row, and back.

use tokio_postgres::types::{ToSql, Type};

use crate::ciphertext::KeyId;
use crate::key::{KeyPurpose, KeyRecord, KeyScope, KeyStage};
use crate::store::{KeyChange, StoreError};

pub(super) const COLUMNS: &str =
    "id, tenant, subject, purpose, version, stage, destroyed_at, created, kek, wrapped";

pub(super) const INSERT: &str = "insert into bartizan_keys \
     (id, tenant, subject, purpose, version, stage, destroyed_at, created, kek, wrapped) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing";

/// Sets what can change where everything is as it was.
pub(super) const UPDATE: &str = "update bartizan_keys \
     set stage = $1, destroyed_at = $2, kek = $3, wrapped = $4 \
     where id = $5 and tenant = $6 and subject = $7 and purpose = $8 and version = $9 \
     and stage = $10 and destroyed_at is not distinct from $11 and created = $12 \
     and kek = $13 and wrapped = $14";

pub(super) type Value<'v> = (&'v (dyn ToSql + Sync), Type);

/// The values of a row, in the types that the table has.
pub(super) struct Row<'r> {
    id: &'r [u8],
    tenant: &'r str,
    subject: &'r str,
    purpose: &'static str,
    version: i64,
    stage: &'static str,
    destroyed_at: Option<i64>,
    created: i64,
    kek: &'r str,
    wrapped: &'r [u8],
}

impl<'r> Row<'r> {
    pub(super) fn new(record: &'r KeyRecord) -> Result<Self, StoreError> {
        let (stage, destroyed_at) = match record.stage {
            KeyStage::PreActive => ("pre_active", None),
            KeyStage::Active => ("active", None),
            KeyStage::DecryptOnly => ("decrypt_only", None),
            KeyStage::Disabled => ("disabled", None),
            KeyStage::Destroyed { at } => ("destroyed", Some(seconds(at)?)),
        };
        Ok(Self {
            id: record.id.as_bytes(),
            tenant: record.scope.tenant_name(),
            subject: subject_of(&record.scope)?,
            purpose: record.scope.purpose().name(),
            version: i64::from(record.version),
            stage,
            destroyed_at,
            created: seconds(record.created)?,
            kek: &record.kek,
            wrapped: &record.wrapped,
        })
    }

    /// In the order of [`COLUMNS`].
    pub(super) fn values(&self) -> [Value<'_>; 10] {
        [
            (&self.id, Type::BYTEA),
            (&self.tenant, Type::TEXT),
            (&self.subject, Type::TEXT),
            (&self.purpose, Type::TEXT),
            (&self.version, Type::INT8),
            (&self.stage, Type::TEXT),
            (&self.destroyed_at, Type::INT8),
            (&self.created, Type::INT8),
            (&self.kek, Type::TEXT),
            (&self.wrapped, Type::BYTEA),
        ]
    }

    /// What an update sets.
    pub(super) fn changing(&self) -> Vec<Value<'_>> {
        vec![
            (&self.stage, Type::TEXT),
            (&self.destroyed_at, Type::INT8),
            (&self.kek, Type::TEXT),
            (&self.wrapped, Type::BYTEA),
        ]
    }
}

/// Whether a change leaves a record what it is: an update sets nothing else.
pub(super) fn stays_itself(change: &KeyChange) -> bool {
    let after = &change.after;
    change.before.as_ref().is_none_or(|before| {
        before.id == after.id
            && before.scope == after.scope
            && before.version == after.version
            && before.created == after.created
    })
}

pub(super) fn record(row: &tokio_postgres::Row) -> Result<KeyRecord, StoreError> {
    let unreadable = |error: tokio_postgres::Error| StoreError::new(error);
    let id: &[u8] = row.try_get("id").map_err(unreadable)?;
    let id: [u8; KeyId::LENGTH] = id.try_into().map_err(StoreError::new)?;
    let tenant: &str = row.try_get("tenant").map_err(unreadable)?;
    let subject: &str = row.try_get("subject").map_err(unreadable)?;
    let purpose: &str = row.try_get("purpose").map_err(unreadable)?;
    let version: i64 = row.try_get("version").map_err(unreadable)?;
    let stage: &str = row.try_get("stage").map_err(unreadable)?;
    let destroyed_at: Option<i64> = row.try_get("destroyed_at").map_err(unreadable)?;
    let created: i64 = row.try_get("created").map_err(unreadable)?;
    let scope = match subject {
        "" => KeyScope::tenant(tenant),
        subject => KeyScope::subject(tenant, subject),
    };
    let purpose = KeyPurpose::ALL
        .into_iter()
        .find(|known| known.name() == purpose);
    let purpose = purpose.ok_or_else(|| StoreError::new("a row of an unknown purpose"))?;
    let stage = match (stage, destroyed_at) {
        ("pre_active", None) => KeyStage::PreActive,
        ("active", None) => KeyStage::Active,
        ("decrypt_only", None) => KeyStage::DecryptOnly,
        ("disabled", None) => KeyStage::Disabled,
        ("destroyed", Some(at)) => KeyStage::Destroyed {
            at: at.try_into().map_err(StoreError::new)?,
        },
        _ => return Err(StoreError::new("a row of an unknown stage")),
    };
    Ok(KeyRecord {
        id: KeyId::from_bytes(id),
        scope: scope.with_purpose(purpose),
        version: version.try_into().map_err(StoreError::new)?,
        stage,
        created: created.try_into().map_err(StoreError::new)?,
        kek: row.try_get("kek").map_err(unreadable)?,
        wrapped: row.try_get("wrapped").map_err(unreadable)?,
    })
}

/// The person of a scope; empty for none, which therefore nobody can be called.
pub(super) fn subject_of(scope: &KeyScope) -> Result<&str, StoreError> {
    match scope.subject_name() {
        Some("") => Err(StoreError::new("a person without a name")),
        subject => Ok(subject.unwrap_or_default()),
    }
}

fn seconds(seconds: u64) -> Result<i64, StoreError> {
    seconds.try_into().map_err(StoreError::new)
}
