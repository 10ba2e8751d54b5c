//! Puts a record together, within limits.

use bartizan_core::{IpNetwork, WallTime};

use crate::format::KeyId;
use crate::hash::KeyHash;
use crate::record::KeyRecord;

/// How long a name, a scope or a role may be, in bytes.
const LONGEST: usize = 256;

/// How many scopes, roles or networks a key may have.
const MOST: usize = 64;

/// Describes a [`KeyRecord`]; made by [`KeyRecord::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the record"]
pub struct KeyRecordBuilder(KeyRecord);

/// What is wrong with a record, or with what is asked of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A key ends before it begins.
    #[error("the key expires before it may be used")]
    EndsBeforeItBegins,
    /// A text is empty, too long, or holds control characters; for scopes and roles, white space.
    #[error("{field} is empty, longer than 256 bytes, or holds characters that it may not have")]
    InvalidText {
        /// Which one.
        field: &'static str,
    },
    /// The key cannot be rotated: it is not in use.
    #[error("the key is {0}")]
    NotLive(&'static str),
    /// The key was rotated before.
    #[error("the key was replaced by {0}: rotate that one")]
    Replaced(KeyId),
    /// There are more than 64 scopes, roles or networks.
    #[error("more than 64 {0}")]
    TooMany(&'static str),
}

impl KeyRecordBuilder {
    pub(super) fn new(id: KeyId, hash: KeyHash, subject: &str, created: WallTime) -> Self {
        Self(KeyRecord {
            id,
            hash,
            subject: subject.into(),
            name: None,
            client: None,
            tenant: None,
            scopes: Vec::new(),
            roles: Vec::new(),
            networks: Vec::new(),
            created,
            not_before: None,
            expires: None,
            revoked: None,
            replaced_by: None,
            last_used: None,
        })
    }

    /// Sets what people call the key.
    pub fn with_name(mut self, name: &str) -> Self {
        self.0.name = Some(name.into());
        self
    }

    /// Sets the client that has the key. Two keys of one client are two ways to be the same.
    pub fn with_client(mut self, client: &str) -> Self {
        self.0.client = Some(client.into());
        self
    }

    /// Sets the tenant that the key belongs to.
    pub fn with_tenant(mut self, tenant: &str) -> Self {
        self.0.tenant = Some(tenant.into());
        self
    }

    /// Sets what the key may be used for: nothing that asks for a scope, unless it is named.
    pub fn with_scopes<T: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.0.scopes = scopes.into_iter().map(|it| it.as_ref().into()).collect();
        self
    }

    /// Sets the roles of whoever has the key.
    pub fn with_roles<T: AsRef<str>>(mut self, roles: impl IntoIterator<Item = T>) -> Self {
        self.0.roles = roles.into_iter().map(|it| it.as_ref().into()).collect();
        self
    }

    /// Sets from where the key may be used. Without any it may from everywhere.
    pub fn with_networks(mut self, networks: impl IntoIterator<Item = IpNetwork>) -> Self {
        self.0.networks = networks.into_iter().collect();
        self
    }

    /// Sets from when on the key may be used.
    pub fn with_not_before(mut self, begin: WallTime) -> Self {
        self.0.not_before = Some(begin);
        self
    }

    /// Sets when the key may not be used any more.
    pub fn with_expires(mut self, end: WallTime) -> Self {
        self.0.expires = Some(end);
        self
    }

    /// Sets when the key was revoked, as it is stored.
    pub fn with_revoked(mut self, at: WallTime) -> Self {
        self.0.revoked = Some(at);
        self
    }

    /// Sets which key took its place, as it is stored.
    pub fn with_replaced_by(mut self, successor: KeyId) -> Self {
        self.0.replaced_by = Some(successor);
        self
    }

    /// Sets when the key was last used, as it is stored.
    pub fn with_last_used(mut self, at: WallTime) -> Self {
        self.0.last_used = Some(at);
        self
    }

    /// Checks the record.
    ///
    /// # Errors
    ///
    /// [`RecordError`], naming what cannot be.
    pub fn build(self) -> Result<KeyRecord, RecordError> {
        let record = self.0;
        text("subject", Some(&record.subject))?;
        text("name", record.name.as_deref())?;
        text("client", record.client.as_deref())?;
        text("tenant", record.tenant.as_deref())?;
        words("scopes", "a scope", &record.scopes)?;
        words("roles", "a role", &record.roles)?;
        if record.networks.len() > MOST {
            return Err(RecordError::TooMany("networks"));
        }
        if let (Some(begin), Some(end)) = (record.not_before, record.expires)
            && end < begin
        {
            return Err(RecordError::EndsBeforeItBegins);
        }
        Ok(record)
    }
}

fn text(field: &'static str, text: Option<&str>) -> Result<(), RecordError> {
    let fits =
        |text: &str| (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control);
    match text {
        Some(text) if !fits(text) => Err(RecordError::InvalidText { field }),
        _ => Ok(()),
    }
}

fn words(all: &'static str, field: &'static str, words: &[Box<str>]) -> Result<(), RecordError> {
    if words.len() > MOST {
        return Err(RecordError::TooMany(all));
    }
    for word in words {
        text(field, Some(word))?;
        if word.contains(char::is_whitespace) {
            return Err(RecordError::InvalidText { field });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{KeyFormat, NewKey};
    use crate::hash::Peppers;

    fn record(subject: &str) -> KeyRecordBuilder {
        let key = NewKey::generate(&KeyFormat::live()).unwrap();
        let now = WallTime::from_unix_seconds(1_800_000_000);
        KeyRecord::builder(&key, &Peppers::none(), subject, now)
    }

    #[test]
    fn texts_are_bounded_and_printable() {
        let long = "x".repeat(257);
        assert!(record(&long[1..]).build().is_ok());
        for subject in ["", "a\nb", "\u{1b}[31m", &long] {
            let refused = record(subject).build();
            assert_eq!(refused, Err(RecordError::InvalidText { field: "subject" }));
        }
        assert!(record("a b").with_client("").build().is_err());
        assert!(record("a b").with_tenant("a\0").build().is_err());
        assert!(
            record("a b")
                .with_name("the nightly report")
                .build()
                .is_ok()
        );
    }

    #[test]
    fn scopes_and_roles_are_words_and_few() {
        assert!(record("a").with_scopes(["orders:read"; 64]).build().is_ok());
        assert_eq!(
            record("a").with_scopes(["orders:read"; 65]).build(),
            Err(RecordError::TooMany("scopes"))
        );
        for word in ["", "a b", "a\t"] {
            assert!(record("a").with_scopes([word]).build().is_err(), "{word:?}");
            assert!(record("a").with_roles([word]).build().is_err(), "{word:?}");
        }
        let everywhere: IpNetwork = "0.0.0.0/0".parse().unwrap();
        let networks = record("a").with_networks([everywhere; 65]);
        assert_eq!(networks.build(), Err(RecordError::TooMany("networks")));
    }

    #[test]
    fn a_key_begins_before_it_ends() {
        let at = WallTime::from_unix_seconds(1_900_000_000);
        let before = WallTime::from_unix_seconds(1_899_999_999);
        let refused = record("a").with_not_before(at).with_expires(before);
        assert_eq!(refused.build(), Err(RecordError::EndsBeforeItBegins));
        assert!(
            record("a")
                .with_not_before(at)
                .with_expires(at)
                .build()
                .is_ok()
        );
    }
}
