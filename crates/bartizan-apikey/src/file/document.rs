//! Records as JSON, and back.

use std::collections::{BTreeMap, HashSet};

use bartizan_core::WallTime;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::file::KeyFileError;
use crate::format::KeyId;
use crate::record::KeyRecord;

/// The form that is written here, and the only one that is read.
const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    keys: Vec<Key>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: String,
    hash: String,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    networks: Vec<String>,
    created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
}

/// Reads a document of keys.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<KeyRecord>, KeyFileError> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| told(&error))?;
    if document.version != VERSION {
        let problem = format!("version {}, known is {VERSION}", document.version);
        return Err(KeyFileError::Invalid(problem));
    }
    let mut ids = HashSet::new();
    let mut records = Vec::new();
    for key in document.keys {
        let record = key.record()?;
        if !ids.insert(record.id) {
            let problem = format!("the key {} is there twice", record.id);
            return Err(KeyFileError::Invalid(problem));
        }
        records.push(record);
    }
    Ok(records)
}

/// What a parser says, without the values that it quotes: somebody may have put a key there.
fn told(error: &serde_json::Error) -> KeyFileError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let plain = ["unknown field", "missing field", "duplicate field"];
    let what = match error.classify() {
        Category::Data if plain.iter().any(|it| text.starts_with(it)) => {
            return KeyFileError::Invalid(text);
        }
        Category::Data => "a value of the wrong type",
        _ => "no JSON",
    };
    KeyFileError::Invalid(format!("{what} at line {line} column {column}"))
}

/// Writes a document of keys.
pub(crate) fn print(records: &[KeyRecord]) -> Result<String, KeyFileError> {
    let document = Document {
        version: VERSION,
        keys: records.iter().map(Key::of).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document)
        .map_err(|error| KeyFileError::Invalid(error.to_string()))?;
    text.push('\n');
    Ok(text)
}

impl Key {
    fn of(record: &KeyRecord) -> Self {
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let list = |list: &[Box<str>]| list.iter().map(|it| it.to_string()).collect();
        let seconds = |at: Option<WallTime>| at.map(WallTime::unix_seconds);
        Self {
            id: record.id.to_string(),
            hash: record.hash.to_string(),
            subject: record.subject.to_string(),
            name: text(&record.name),
            client: text(&record.client),
            tenant: text(&record.tenant),
            scopes: list(&record.scopes),
            roles: list(&record.roles),
            networks: record.networks.iter().map(ToString::to_string).collect(),
            created: record.created.unix_seconds(),
            not_before: seconds(record.not_before),
            expires: seconds(record.expires),
            revoked: seconds(record.revoked),
            replaced_by: record.replaced_by.map(|id| id.to_string()),
        }
    }

    fn record(self) -> Result<KeyRecord, KeyFileError> {
        // What stands there may be a whole key, and is not repeated.
        let id: KeyId = self.id.parse().map_err(|_| {
            KeyFileError::Invalid("an id is not 12 characters of 0-9, A-Z and a-z".to_owned())
        })?;
        let invalid = |field: &str, error: &dyn std::fmt::Display| {
            KeyFileError::Invalid(format!("key {id}: {field}: {error}"))
        };
        let hash = self.hash.parse().map_err(|error| invalid("hash", &error))?;
        let at = WallTime::from_unix_seconds;
        let mut networks = Vec::new();
        for network in &self.networks {
            networks.push(
                network
                    .parse()
                    .map_err(|error| invalid("networks", &error))?,
            );
        }
        let mut record = KeyRecord::stored(id, hash, &self.subject, at(self.created))
            .with_scopes(&self.scopes)
            .with_roles(&self.roles)
            .with_networks(networks);
        if let Some(name) = &self.name {
            record = record.with_name(name);
        }
        if let Some(client) = &self.client {
            record = record.with_client(client);
        }
        if let Some(tenant) = &self.tenant {
            record = record.with_tenant(tenant);
        }
        if let Some(begin) = self.not_before {
            record = record.with_not_before(at(begin));
        }
        if let Some(end) = self.expires {
            record = record.with_expires(at(end));
        }
        if let Some(moment) = self.revoked {
            record = record.with_revoked(at(moment));
        }
        if let Some(successor) = &self.replaced_by {
            let successor = successor.parse();
            let successor = successor.map_err(|error| invalid("replaced_by", &error))?;
            record = record.with_replaced_by(successor);
        }
        record.build().map_err(|error| KeyFileError::Record {
            id: id.to_string(),
            error,
        })
    }
}

/// When keys were last used, as a file of its own beside theirs.
pub(crate) fn uses(uses: &BTreeMap<KeyId, u64>) -> String {
    let uses: BTreeMap<&str, u64> = uses.iter().map(|(id, at)| (id.as_str(), *at)).collect();
    // Texts and numbers alone: it cannot fail.
    serde_json::to_string_pretty(&uses).unwrap_or_default()
}

/// Reads what [`uses`] wrote; whatever else stands there counts for nothing.
pub(crate) fn parse_uses(bytes: &[u8]) -> BTreeMap<KeyId, u64> {
    let read: BTreeMap<String, u64> = serde_json::from_slice(bytes).unwrap_or_default();
    let known = read.into_iter();
    known
        .filter_map(|(id, at)| Some((id.parse().ok()?, at)))
        .collect()
}
