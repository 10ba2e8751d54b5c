//! A record as a row, and back.

use std::fmt::Display;

use bartizan_core::WallTime;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};

use crate::record::KeyRecord;
use crate::source::{IgnoredKey, KeySourceError};

/// Networks as text: there is no type for them in the driver.
pub(super) const COLUMNS: &str = "id, hash, subject, name, client, tenant, scopes, roles, \
     networks::text[] as networks, created, not_before, expires, revoked, replaced_by, last_used";

pub(super) const INSERT: &str = "insert into bartizan_api_keys (id, hash, subject, name, client, \
     tenant, scopes, roles, networks, created, not_before, expires, revoked, replaced_by) values \
     ($1, $2, $3, $4, $5, $6, $7, $8, $9::text[]::cidr[], $10, $11, $12, $13, $14) \
     on conflict do nothing";

/// Of a row that says what these values say, and of no other. Two further values: the new end, and
/// the successor.
pub(super) const REPLACE: &str = "update bartizan_api_keys set expires = $15, replaced_by = $16 \
     where id = $1 and (hash, subject, name, client, tenant, scopes, roles, networks, created, \
     not_before, expires, revoked, replaced_by) is not distinct from \
     ($2, $3, $4, $5, $6, $7, $8, $9::text[]::cidr[], $10, $11, $12, $13, $14)";

pub(super) type Value<'v> = (&'v (dyn ToSql + Sync), Type);

/// The values of a row, in the types that the table has.
pub(super) struct Values {
    id: String,
    hash: String,
    subject: String,
    name: Option<String>,
    client: Option<String>,
    tenant: Option<String>,
    scopes: Vec<String>,
    roles: Vec<String>,
    networks: Vec<String>,
    created: i64,
    not_before: Option<i64>,
    expires: Option<i64>,
    revoked: Option<i64>,
    replaced_by: Option<String>,
}

impl Values {
    pub(super) fn of(record: &KeyRecord) -> Result<Self, KeySourceError> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let maybe = |at: Option<WallTime>| at.map(seconds).transpose();
        Ok(Self {
            id: record.id.to_string(),
            hash: record.hash.to_string(),
            subject: record.subject().to_owned(),
            name: text(record.name()),
            client: text(record.client()),
            tenant: text(record.tenant()),
            scopes: record.scopes().map(str::to_owned).collect(),
            roles: record.roles().map(str::to_owned).collect(),
            networks: record.networks.iter().map(ToString::to_string).collect(),
            created: seconds(record.created)?,
            not_before: maybe(record.not_before)?,
            expires: maybe(record.expires)?,
            revoked: maybe(record.revoked)?,
            replaced_by: record.replaced_by.map(|id| id.to_string()),
        })
    }

    /// As [`INSERT`] numbers them.
    pub(super) fn all(&self) -> [Value<'_>; 14] {
        [
            (&self.id, Type::TEXT),
            (&self.hash, Type::TEXT),
            (&self.subject, Type::TEXT),
            (&self.name, Type::TEXT),
            (&self.client, Type::TEXT),
            (&self.tenant, Type::TEXT),
            (&self.scopes, Type::TEXT_ARRAY),
            (&self.roles, Type::TEXT_ARRAY),
            (&self.networks, Type::TEXT_ARRAY),
            (&self.created, Type::INT8),
            (&self.not_before, Type::INT8),
            (&self.expires, Type::INT8),
            (&self.revoked, Type::INT8),
            (&self.replaced_by, Type::TEXT),
        ]
    }
}

pub(super) fn record(row: &Row) -> Result<KeyRecord, KeySourceError> {
    let id: &str = column(row, "id")?;
    let told = |error: &dyn Display| KeySourceError::new(format_args!("key {id}: {error}"));
    let parsed = id.parse().map_err(|error| told(&error))?;
    let hash: &str = column(row, "hash")?;
    let hash = hash.parse().map_err(|error| told(&error))?;
    let created = time(column(row, "created")?)?;
    let networks: Vec<String> = column(row, "networks")?;
    let networks: Result<Vec<_>, _> = networks.iter().map(|it| it.parse()).collect();
    let scopes: Vec<String> = column(row, "scopes")?;
    let roles: Vec<String> = column(row, "roles")?;
    let mut record = KeyRecord::stored(parsed, hash, column(row, "subject")?, created)
        .with_scopes(scopes)
        .with_roles(roles)
        .with_networks(networks.map_err(|error| told(&error))?);
    if let Some(name) = column(row, "name")? {
        record = record.with_name(name);
    }
    if let Some(client) = column(row, "client")? {
        record = record.with_client(client);
    }
    if let Some(tenant) = column(row, "tenant")? {
        record = record.with_tenant(tenant);
    }
    if let Some(begin) = column(row, "not_before")? {
        record = record.with_not_before(time(begin)?);
    }
    if let Some(end) = column(row, "expires")? {
        record = record.with_expires(time(end)?);
    }
    if let Some(moment) = column(row, "revoked")? {
        record = record.with_revoked(time(moment)?);
    }
    if let Some(moment) = column(row, "last_used")? {
        record = record.with_last_used(time(moment)?);
    }
    if let Some(successor) = column::<Option<&str>>(row, "replaced_by")? {
        record = record.with_replaced_by(successor.parse().map_err(|error| told(&error))?);
    }
    record.build().map_err(|error| told(&error))
}

/// What is left of a row that is no record.
pub(super) fn ignored(row: &Row, reason: KeySourceError) -> IgnoredKey {
    let id = column::<&str>(row, "id").ok();
    IgnoredKey {
        id: id.and_then(|id| id.parse().ok()),
        reason,
    }
}

fn column<'r, T: FromSql<'r>>(row: &'r Row, name: &str) -> Result<T, KeySourceError> {
    row.try_get(name).map_err(KeySourceError::new)
}

fn time(seconds: i64) -> Result<WallTime, KeySourceError> {
    let seconds = u64::try_from(seconds).map_err(KeySourceError::new)?;
    Ok(WallTime::from_unix_seconds(seconds))
}

pub(super) fn seconds(at: WallTime) -> Result<i64, KeySourceError> {
    at.unix_seconds().try_into().map_err(KeySourceError::new)
}
