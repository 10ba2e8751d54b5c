//! Data keys: what a store keeps of one, and what is derived from one in use.

use std::fmt;

use bartizan_core::WallTime;
use ring::hkdf::{HKDF_SHA512, Prk};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ciphertext::KeyId;
use crate::cobblestone::{InputKey, Length};
use crate::error::{EncryptError, EncryptErrorKind};
use crate::suite::Suite;

/// What a key is for. Keys for searching and for pseudonyms live longer than those that seal:
/// replacing one means computing everything anew.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyPurpose {
    /// Sealing fields.
    Fields,
    /// Blind indexes.
    Index,
    /// Pseudonyms.
    Pseudonyms,
}

impl KeyPurpose {
    #[cfg(feature = "postgres")]
    pub(crate) const ALL: [Self; 3] = [Self::Fields, Self::Index, Self::Pseudonyms];

    /// Its name in columns; that in JSON is the same.
    #[cfg(feature = "postgres")]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fields => "fields",
            Self::Index => "index",
            Self::Pseudonyms => "pseudonyms",
        }
    }

    const fn tag(self) -> u8 {
        match self {
            Self::Fields => 1,
            Self::Index => 2,
            Self::Pseudonyms => 3,
        }
    }
}

/// Whose keys: a tenant's, or one person's within a tenant.
#[derive(Clone, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyScope {
    tenant: Box<str>,
    subject: Option<Box<str>>,
    purpose: KeyPurpose,
}

impl KeyScope {
    /// The keys that seal a tenant's fields.
    pub fn tenant(tenant: &str) -> Self {
        Self {
            tenant: tenant.into(),
            subject: None,
            purpose: KeyPurpose::Fields,
        }
    }

    /// The keys that seal the fields of one person.
    pub fn subject(tenant: &str, subject: &str) -> Self {
        Self {
            subject: Some(subject.into()),
            ..Self::tenant(tenant)
        }
    }

    /// The same, for another purpose.
    #[must_use]
    pub fn with_purpose(mut self, purpose: KeyPurpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// What the keys are for.
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn tenant_name(&self) -> &str {
        &self.tenant
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn subject_name(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    pub(crate) fn names(&self, tenant: &str, subject: Option<&str>, purpose: KeyPurpose) -> bool {
        *self.tenant == *tenant && self.subject.as_deref() == subject && self.purpose == purpose
    }

    /// Whether the keys are one person's.
    pub fn is_personal(&self) -> bool {
        self.subject.is_some()
    }
}

impl fmt::Debug for KeyScope {
    /// The person is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyScope")
            .field("tenant", &self.tenant)
            .field("subject", &self.subject.as_ref().map(|_| ".."))
            .field("purpose", &self.purpose)
            .finish()
    }
}

/// How far a key's life has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum KeyStage {
    /// Opens, does not seal yet: until every instance knows it.
    PreActive,
    /// Opens and seals. Of several, the one of the highest version seals.
    Active,
    /// Opens what it sealed, seals nothing more.
    DecryptOnly,
    /// Neither, until it is enabled again.
    Disabled,
    /// Gone for good. What remains says so.
    Destroyed {
        /// When, in seconds since 1970.
        at: u64,
    },
}

/// A data key as a store keeps it: wrapped.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Its name in ciphertexts.
    #[serde(with = "as_text")]
    pub id: KeyId,
    /// Whose it is.
    pub scope: KeyScope,
    /// Its number within the scope, from 1.
    pub version: u32,
    /// How far its life has come.
    pub stage: KeyStage,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Which key-encryption key wrapped it.
    pub kek: String,
    /// The wrapped key; empty once destroyed.
    #[serde(with = "as_base64")]
    pub wrapped: Vec<u8>,
}

impl KeyRecord {
    /// What the wrapped key is bound to: it unwraps for this id, scope and version alone.
    pub(crate) fn wrapping_context(&self) -> Vec<u8> {
        let mut context = b"bartizan data key v1\0".to_vec();
        context.extend_from_slice(self.id.as_bytes());
        context.push(self.scope.purpose.tag());
        context.extend_from_slice(&self.version.to_be_bytes());
        context.extend_from_slice(&self.created.to_be_bytes());
        for text in [Some(&self.scope.tenant), self.scope.subject.as_ref()] {
            context.push(u8::from(text.is_some()));
            let text = text.map_or(&[][..], |text| text.as_bytes());
            context.extend_from_slice(&(text.len() as u64).to_be_bytes());
            context.extend_from_slice(text);
        }
        context
    }

    /// The record of the same key, destroyed.
    pub(crate) fn destroyed(&self, now: WallTime) -> Self {
        Self {
            stage: KeyStage::Destroyed {
                at: now.unix_seconds(),
            },
            wrapped: Vec::new(),
            ..self.clone()
        }
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("scope", &self.scope)
            .field("version", &self.version)
            .field("stage", &self.stage)
            .field("kek", &self.kek)
            .finish_non_exhaustive()
    }
}

/// The 32 bytes of a data key or key-encryption key; wiped when dropped, never printed.
pub struct KeyBytes(Zeroizing<[u8; 32]>);

impl KeyBytes {
    /// Fresh random bytes of the system.
    ///
    /// # Errors
    ///
    /// [`EncryptErrorKind::NoRandomness`].
    pub fn generate() -> Result<Self, EncryptError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// Takes bytes over; `None` unless there are 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut held = Zeroizing::new([0; 32]);
        if bytes.len() != held.len() {
            return None;
        }
        held.copy_from_slice(bytes);
        Some(Self(held))
    }

    /// The bytes themselves, for wrapping.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Derives a key for one use.
    pub(crate) fn derive<const N: usize>(&self, label: &[u8]) -> Option<Zeroizing<[u8; N]>> {
        let mut derived = Zeroizing::new([0; N]);
        let prk = Prk::new_less_safe(HKDF_SHA512, self.0.as_slice());
        let info = [label];
        let okm = prk.expand(&info, Length(N)).ok()?;
        okm.fill(derived.as_mut_slice()).ok()?;
        Some(derived)
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBytes(..)")
    }
}

/// A data key in use.
pub(crate) struct DataKey {
    pub(crate) id: KeyId,
    bytes: KeyBytes,
    cobblestone_128: InputKey,
    cobblestone_256: InputKey,
}

impl DataKey {
    pub(crate) fn new(id: KeyId, bytes: KeyBytes) -> Option<Self> {
        let short = bytes.derive::<16>(b"bartizan fields v1 cobblestone-128")?;
        let long = bytes.derive::<32>(b"bartizan fields v1 cobblestone-256")?;
        Some(Self {
            id,
            cobblestone_128: InputKey::new(Suite::Cobblestone128, short.as_slice())?,
            cobblestone_256: InputKey::new(Suite::Cobblestone256, long.as_slice())?,
            bytes,
        })
    }

    pub(crate) fn input(&self, suite: Suite) -> &InputKey {
        match suite {
            Suite::Cobblestone128 => &self.cobblestone_128,
            Suite::Cobblestone256 => &self.cobblestone_256,
        }
    }

    pub(crate) fn bytes(&self) -> &KeyBytes {
        &self.bytes
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

pub(crate) fn random(bytes: &mut [u8]) -> Result<(), EncryptError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| EncryptErrorKind::NoRandomness.into())
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::ciphertext::KeyId;

    pub(super) fn serialize<S: Serializer>(id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<KeyId, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(de::Error::custom)
    }
}

pub(crate) mod as_base64 {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.map_err(|_| de::Error::custom("not base64url"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> KeyRecord {
        KeyRecord {
            id: KeyId::from_bytes([1; 8]),
            scope: KeyScope::subject("acme", "alice"),
            version: 1,
            stage: KeyStage::Active,
            created: 5,
            kek: "k".to_owned(),
            wrapped: vec![1, 2, 3],
        }
    }

    #[test]
    fn every_part_of_a_record_changes_what_its_key_is_bound_to() {
        let scope = |scope| KeyRecord { scope, ..record() };
        let others = [
            KeyRecord {
                id: KeyId::from_bytes([2; 8]),
                ..record()
            },
            KeyRecord {
                version: 2,
                ..record()
            },
            KeyRecord {
                created: 6,
                ..record()
            },
            scope(KeyScope::subject("acme", "bob")),
            scope(KeyScope::subject("acm", "ealice")),
            scope(KeyScope::tenant("acme")),
            scope(KeyScope::subject("acme", "alice").with_purpose(KeyPurpose::Index)),
        ];
        for other in others {
            assert_ne!(
                other.wrapping_context(),
                record().wrapping_context(),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_record_reads_what_it_writes_and_prints_no_person() {
        let mut gone = record();
        gone.stage = KeyStage::Destroyed { at: 7 };
        for record in [record(), gone] {
            let json = serde_json::to_string(&record).expect("plain data");
            assert_eq!(
                serde_json::from_str::<KeyRecord>(&json).ok(),
                Some(record.clone())
            );
            assert!(!format!("{record:?}").contains("alice"));
        }
    }

    #[test]
    fn derived_keys_differ_by_use() {
        let bytes = KeyBytes::from_slice(&[4; 32]).expect("32 bytes");
        let one = bytes.derive::<32>(b"one").expect("short");
        let two = bytes.derive::<32>(b"two").expect("short");
        assert_ne!(one, two);
        assert!(KeyBytes::from_slice(&[4; 31]).is_none());
        assert_eq!(format!("{bytes:?}"), "KeyBytes(..)");
    }
}
