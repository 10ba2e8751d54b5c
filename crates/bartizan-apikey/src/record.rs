//! What is known of a key: whose it is, what it may be used for, and from when to when.

mod builder;

use std::fmt;
use std::time::Duration;

use bartizan_core::{IpNetwork, WallTime};

use crate::format::{KeyId, NewKey};
use crate::hash::{KeyHash, Peppers};

pub use self::builder::{KeyRecordBuilder, RecordError};

/// What a store keeps of a key: everything but the key.
///
/// ```
/// use bartizan_apikey::{KeyFormat, KeyRecord, KeyState, NewKey, Peppers};
/// use bartizan_core::WallTime;
///
/// let key = NewKey::generate(&KeyFormat::live())?;
/// let now = WallTime::from_unix_seconds(1_800_000_000);
/// let record = KeyRecord::builder(&key, &Peppers::none(), "reports", now)
///     .with_client("nightly")
///     .with_scopes(["orders:read"])
///     .with_expires(WallTime::from_unix_seconds(1_830_000_000))
///     .build()?;
/// assert_eq!(record.state(now), KeyState::Live);
/// // Show it once, to whoever is to use it.
/// let _ = key.expose();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct KeyRecord {
    pub(crate) id: KeyId,
    pub(crate) hash: KeyHash,
    pub(crate) subject: Box<str>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) client: Option<Box<str>>,
    pub(crate) tenant: Option<Box<str>>,
    pub(crate) scopes: Vec<Box<str>>,
    pub(crate) roles: Vec<Box<str>>,
    pub(crate) networks: Vec<IpNetwork>,
    pub(crate) created: WallTime,
    pub(crate) not_before: Option<WallTime>,
    pub(crate) expires: Option<WallTime>,
    pub(crate) revoked: Option<WallTime>,
    pub(crate) replaced_by: Option<KeyId>,
    pub(crate) last_used: Option<WallTime>,
}

/// Whether a key may be used at a moment.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyState {
    /// Its time is over.
    Expired,
    /// It may be used.
    Live,
    /// Its time has not come.
    NotYetValid,
    /// It was revoked.
    Revoked,
}

impl KeyState {
    /// A short stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Live => "live",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
        }
    }
}

/// A key and the one that takes its place; made by [`KeyRecord::rotated`].
#[derive(Clone, Debug)]
#[must_use = "a rotation has an effect once both records are stored"]
pub struct Rotation {
    /// The key that is replaced: it names its successor, and ends with the overlap.
    pub old: KeyRecord,
    /// The key that takes its place.
    pub new: KeyRecord,
    /// When the old one was to expire before, which tells whether somebody changed it meanwhile.
    held_until: Option<WallTime>,
}

impl Rotation {
    /// The old key as it was before. Where a store holds something else by now, somebody changed
    /// the key meanwhile, and the rotation is not to be stored.
    pub fn before(&self) -> KeyRecord {
        KeyRecord {
            expires: self.held_until,
            replaced_by: None,
            ..self.old.clone()
        }
    }
}

impl KeyRecord {
    /// Begins the record of a new key, for this subject: whoever requests with the key act for.
    pub fn builder(
        key: &NewKey,
        peppers: &Peppers,
        subject: &str,
        now: WallTime,
    ) -> KeyRecordBuilder {
        KeyRecordBuilder::new(key.id(), peppers.hash(key), subject, now)
    }

    /// Begins a record of what is stored elsewhere: for a [`KeySource`](crate::KeySource) of your
    /// own.
    pub fn stored(id: KeyId, hash: KeyHash, subject: &str, created: WallTime) -> KeyRecordBuilder {
        KeyRecordBuilder::new(id, hash, subject, created)
    }

    /// Replaces the key by a new one, with the same rights. For `overlap` both may be used, so
    /// that clients change over without a refused request. A key that expires is followed by one
    /// that lives as long as it was to.
    ///
    /// # Errors
    ///
    /// [`RecordError::NotLive`] for a key that is revoked, has expired or has not begun, and
    /// [`RecordError::Replaced`] for one that was replaced before: rotate its successor.
    pub fn rotated(
        &self,
        key: &NewKey,
        peppers: &Peppers,
        now: WallTime,
        overlap: Duration,
    ) -> Result<Rotation, RecordError> {
        let state = self.state(now);
        if state != KeyState::Live {
            return Err(RecordError::NotLive(state.as_str()));
        }
        if let Some(successor) = self.replaced_by {
            return Err(RecordError::Replaced(successor));
        }
        let lifetime = self.expires.map(|end| end.saturating_since(self.created));
        let end = now + overlap;
        let new = Self {
            id: key.id(),
            hash: peppers.hash(key),
            created: now,
            not_before: None,
            expires: lifetime.map(|lifetime| now + lifetime),
            last_used: None,
            ..self.clone()
        };
        let old = Self {
            expires: Some(self.expires.map_or(end, |expires| expires.min(end))),
            replaced_by: Some(new.id),
            ..self.clone()
        };
        Ok(Rotation {
            old,
            new,
            held_until: self.expires,
        })
    }

    /// The record of the key from `now` on, when it is not to be used any more. A key stays
    /// revoked since the first time.
    #[must_use]
    pub fn revoked_at(&self, now: WallTime) -> Self {
        Self {
            revoked: Some(self.revoked.map_or(now, |since| since.min(now))),
            ..self.clone()
        }
    }

    /// The record of a key that was used at this moment, as far as it was not used later.
    #[must_use]
    pub fn used_at(&self, at: WallTime) -> Self {
        Self {
            last_used: Some(self.last_used.map_or(at, |last| last.max(at))),
            ..self.clone()
        }
    }

    /// Whether the key may be used at this moment. What counts is that it was revoked, then that
    /// it has expired: at the very second that it names.
    pub fn state(&self, now: WallTime) -> KeyState {
        if self.revoked.is_some() {
            KeyState::Revoked
        } else if self.expires.is_some_and(|expires| now >= expires) {
            KeyState::Expired
        } else if self.not_before.is_some_and(|begin| now < begin) {
            KeyState::NotYetValid
        } else {
            KeyState::Live
        }
    }

    /// The public part of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The hash of the key.
    pub fn hash(&self) -> &KeyHash {
        &self.hash
    }

    /// Whoever requests with the key act for.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What people call the key.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The client that has the key.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The tenant that the key belongs to.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// What the key may be used for.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(|scope| &**scope)
    }

    /// The roles of whoever has it.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| &**role)
    }

    /// From where it may be used; from anywhere if there is none.
    pub fn networks(&self) -> &[IpNetwork] {
        &self.networks
    }

    /// When it was made.
    pub fn created(&self) -> WallTime {
        self.created
    }

    /// From when on it may be used.
    pub fn not_before(&self) -> Option<WallTime> {
        self.not_before
    }

    /// When it may not be used any more.
    pub fn expires(&self) -> Option<WallTime> {
        self.expires
    }

    /// When it was revoked.
    pub fn revoked(&self) -> Option<WallTime> {
        self.revoked
    }

    /// The key that took its place.
    pub fn replaced_by(&self) -> Option<KeyId> {
        self.replaced_by
    }

    /// When it was last used, to a minute or so, as far as the store was told.
    pub fn last_used(&self) -> Option<WallTime> {
        self.last_used
    }

    /// Whether two records say the same of a key, whenever it was used.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self {
            id,
            hash,
            subject,
            name,
            client,
            tenant,
            scopes,
            roles,
            networks,
            created,
            not_before,
            expires,
            revoked,
            replaced_by,
            last_used: _,
        } = self;
        *id == other.id
            && *hash == other.hash
            && *subject == other.subject
            && *name == other.name
            && *client == other.client
            && *tenant == other.tenant
            && *scopes == other.scopes
            && *roles == other.roles
            && *networks == other.networks
            && *created == other.created
            && *not_before == other.not_before
            && *expires == other.expires
            && *revoked == other.revoked
            && *replaced_by == other.replaced_by
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("subject", &self.subject)
            .field("client", &self.client)
            .field("tenant", &self.tenant)
            .field("scopes", &self.scopes)
            .field("roles", &self.roles)
            .field("networks", &self.networks)
            .field("created", &self.created)
            .field("not_before", &self.not_before)
            .field("expires", &self.expires)
            .field("revoked", &self.revoked)
            .field("replaced_by", &self.replaced_by)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
